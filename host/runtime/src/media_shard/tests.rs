//! What a media thread does per frame, on real sockets: it allocates nothing, and a leg in which the host fails costs that leg.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use media::{
    Codec, DigitTiming, Direction, JitterBounds, LegParams, Negotiated as Session, PayloadType, PlayoutWriter,
};

use super::*;
use crate::bots::{AnswersIn, FramesOut, FromBot, Pressed, Shared, slots};
use crate::rtp_ports::RtpPorts;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands every request on to the system's allocator unchanged; the counter is a plain thread-local number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is System's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is System's.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Of this thread so far.
pub fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The bot's ends of one seat's rings.
struct BotSide {
    frames: FramesOut,
    _digits: rtrb::Consumer<Pressed>,
    answers: AnswersIn,
    queue: PlayoutWriter,
}

/// A seat on loopback ports of its own, and who talks to it.
fn seat(call: u64, peer: &UdpSocket, now: Instant) -> (Seat, BotSide) {
    let remote = peer.local_addr().unwrap();
    let ports = (42_000..44_000).step_by(20).find_map(|first| {
        RtpPorts::new(first + 2 * (call as u16)..=first + 2 * (call as u16) + 1, Duration::ZERO).open(remote.ip(), now)
    });
    let ports = ports.expect("two free ports");
    let negotiated = Session {
        codec: Codec::Pcma,
        payload_type: PayloadType(8),
        receive: vec![(PayloadType(8), Codec::Pcma)],
        telephone_event: None,
        comfort_noise: None,
        remote_rtp: Some(remote),
        remote_rtcp: None,
        rtcp_mux: false,
        direction: Direction::SendRecv,
        held: false,
        send_ptime_ms: 20,
        srtp: None,
    };
    let params = LegParams {
        negotiated,
        ssrc: 1,
        first_sequence: 1,
        first_timestamp: 1,
        cname: "c".into(),
        media_networks: vec!["127.0.0.0/8".parse().unwrap()],
        sdp_address_allowed: true,
        jitter: JitterBounds::default(),
        media_timeout: Duration::from_secs(60),
        digits: DigitTiming::default(),
        seed: 1,
    };
    let (frames, frames_out) = slots::slots();
    let (digits, digits_out) = rtrb::RingBuffer::new(64);
    let (answers, answers_out) = slots::slots();
    let (queue, playout) = media::playout(1000);
    let shared = Arc::new(Shared::default());
    shared.wants_frames.store(true, std::sync::atomic::Ordering::Relaxed);
    let ends =
        MediaEnds { phase: 0, lane_phase: Arc::default(), frames, digits, answers: answers_out, playout, shared };
    let seat = Seat {
        call: sip::DialogId(call),
        leg: Leg::new(params, now),
        rtp: ports.rtp,
        rtcp: ports.rtcp,
        voice: Voice::new(ends, 20),
        tap: None,
        ptime_ms: 20,
        heard: true,
        listening: None,
        took: 0,
        takes_from: 0,
    };
    (seat, BotSide { frames: frames_out, _digits: digits_out, answers, queue })
}

#[test]
fn a_warm_seat_allocates_nothing_per_frame() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_nonblocking(true).unwrap();
    let start = Instant::now();
    let (mut seat, mut bot) = seat(0, &peer, start);
    let host = seat.rtp.local_addr().unwrap();
    let mut scratch = Scratch::new();
    let mut packet = [0x55; 172];
    let (mut warm_at, mut echoed, mut heard) = (0, 0, 0);
    for tick in 0..1000_u32 {
        if tick == 300 {
            (warm_at, echoed, heard) = (ALLOCATIONS.with(Cell::get), 0, 0);
        }
        let now = start + Duration::from_millis(20) * tick;
        packet[..2].copy_from_slice(&[0x80, 8]);
        packet[2..4].copy_from_slice(&(tick as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(tick * 160).to_be_bytes());
        // Every 50th is lost.
        if tick % 50 != 0 {
            peer.send_to(&packet, host).unwrap();
        }
        seat.receive(0, now, now + Duration::from_millis(10), &mut scratch, &mut |_| {});
        while let Ok(frame) = bot.frames.pop() {
            // Now the bot's own frame, now the queue, now silence.
            match tick % 3 {
                0 => {
                    echoed += u64::from(bot.answers.push(FromBot { tick: frame.tick, samples: frame.samples }).is_ok())
                }
                1 => drop(bot.queue.write(&frame.samples)),
                _ => {}
            }
        }
        seat.send(now + Duration::from_millis(10), &mut scratch);
        let mut back = [0; 2048];
        while peer.recv_from(&mut back).is_ok() {
            heard += 1;
        }
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - warm_at, 0);
    assert!(echoed > 200 && heard > 650, "{echoed} echoed, {heard} heard");
    assert!(seat.leg.stats().packets_received > 900);
}

/// A shard without its thread, and what it tells.
fn shard(bots: &crate::bots::Bots) -> (Shard, mpsc::UnboundedReceiver<ShardEvent>) {
    let (_, receiver) = commands::channel();
    let (events, told) = mpsc::unbounded_channel();
    let counters = ShardCounters {
        late_phases: Counter::default(),
        skipped_phases: Counter::default(),
        broken_legs: Counter::default(),
    };
    let shard = Shard {
        commands: receiver,
        events,
        lane: Arc::clone(&bots.lanes()[0]),
        schedule: Schedule::new(Duration::from_millis(10)),
        seats: Vec::new(),
        free: Vec::new(),
        listening: Vec::new(),
        phase: 0,
        broken: Vec::new(),
        scratch: Scratch::new(),
        counters,
    };
    (shard, told)
}

#[test]
fn a_leg_in_which_the_host_fails_is_closed_and_counted_and_the_others_go_on() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let now = Instant::now();
    let (bots, _reports) =
        crate::bots::Bots::start(1, Default::default(), std::sync::Arc::new(crate::bots::NoServices)).unwrap();
    let (mut shard, mut told) = shard(&bots);
    let _bot_sides: Vec<BotSide> = (1..=3)
        .map(|call| {
            let (seat, bot) = seat(call, &peer, now);
            shard.sit(seat);
            bot
        })
        .collect();
    let mut visited = Vec::new();
    each(&[0, 1, 2, 1], &mut shard.seats, &mut shard.broken, |index, _| {
        visited.push(index);
        assert_ne!(index, 1, "told to fail");
    });
    assert_eq!(visited, [0, 1, 2, 1]);
    (0..60).for_each(|phase| shard.run_phase(phase, now + schedule::PHASE * phase as u32));
    let mut closed = Vec::new();
    while let Ok(event) = told.try_recv() {
        match event {
            ShardEvent::Closed { call, .. } => closed.push(call.0),
            ShardEvent::Leg { .. } => {}
        }
    }
    assert_eq!(closed, [2]);
    assert_eq!(shard.counters.broken_legs.get(), 1);
    assert!(shard.seats[1].is_none());
    for index in [0, 2] {
        assert!(shard.seats[index].as_ref().unwrap().leg.stats().packets_sent >= 5);
    }
    bots.stop();
}

fn packet_of(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

#[test]
fn of_a_flood_32_packets_are_read_in_one_phase_and_the_rest_in_the_next() {
    let now = Instant::now();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut seat, _bot) = seat(3, &peer, now);
    seat.listening = Some(Listening::new(0));
    let to = seat.rtp.local_addr().unwrap();
    for sequence in 0..40 {
        peer.send_to(&packet_of(sequence), to).unwrap();
    }
    let mut scratch = Scratch::new();
    let mut accepted = |phase: u32| {
        let at = now + Duration::from_millis(20) * phase;
        seat.receive(0, at, at, &mut scratch, &mut |_| {});
        seat.leg.stats().packets_received
    };
    assert_eq!(accepted(1), 32);
    assert_eq!(accepted(2), 40);
}

#[test]
fn a_socket_is_read_until_the_next_packet_is_not_due_and_every_sixteenth_tick_until_it_is_empty() {
    let now = Instant::now();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut seat, _bot) = seat(4, &peer, now);
    let to = seat.rtp.local_addr().unwrap();
    let (mut scratch, mut sent, mut tick) = (Scratch::new(), 0, 0);
    // How many packets are left in the socket after a tick in which so many came.
    let mut left = |packets: u16| {
        for _ in 0..packets {
            peer.send_to(&packet_of(sent), to).unwrap();
            sent += 1;
        }
        let at = now + Duration::from_millis(20) * tick;
        seat.receive(u64::from(tick) * 10, at, at, &mut scratch, &mut |_| {});
        tick += 1;
        u64::from(sent) - seat.leg.stats().packets_received
    };
    assert!((0..100).all(|_| left(1) == 0));
    // One that comes a tick early stays there, and so do those after it, but not for long.
    let early: Vec<u64> = std::iter::once(2).chain([1; 20]).map(&mut left).collect();
    assert!(early[0] == 1 && early[16..].iter().all(|left| *left == 0), "{early:?}");
    // After a hold-up all are read at once.
    assert_eq!([0, 0, 0, 0, 5].map(&mut left)[4], 0);
}

/// What left the host for one leg: phase, sequence, timestamp, marker, and the first code.
type Departure = (u64, u16, u32, bool, u8);

/// A caller whose packets come in this phase of the tick, and a bot that sends each frame back; the leg begins in phase 0.
fn echo_of_a_caller_in(phase_of_packets: u64) -> (Vec<Departure>, u64) {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_nonblocking(true).unwrap();
    let start = Instant::now();
    let (bots, _reports) =
        crate::bots::Bots::start(1, Default::default(), std::sync::Arc::new(crate::bots::NoServices)).unwrap();
    let (mut shard, _told) = shard(&bots);
    shard.scratch.waited_us = |_| 0;
    let (mut seat, mut bot) = seat(10 + phase_of_packets, &peer, start);
    seat.listening = Some(Listening::new(0));
    let host = seat.rtp.local_addr().unwrap();
    shard.sit(seat);
    let (mut departures, mut sent) = (Vec::new(), 0_u16);
    for phase in 0..1000 {
        // The first packet a while after the leg began.
        if phase >= 100 && phase % 10 == phase_of_packets {
            let mut packet = vec![0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
            packet[2..4].copy_from_slice(&sent.to_be_bytes());
            packet[4..8].copy_from_slice(&(u32::from(sent) * 160).to_be_bytes());
            packet.extend([sent as u8 & 0x3f | 0x80; 160]);
            peer.send_to(&packet, host).unwrap();
            sent += 1;
        }
        shard.run_phase(phase, start + schedule::PHASE * phase as u32);
        while let Ok(frame) = bot.frames.pop() {
            assert!(bot.answers.push(FromBot { tick: frame.tick, samples: frame.samples }).is_ok());
        }
        let mut back = [0; 2048];
        while let Ok(length) = peer.recv(&mut back) {
            assert_eq!(length, 172);
            let word = |at: usize| u32::from_be_bytes(back[at..at + 4].try_into().unwrap());
            departures.push((phase, word(0) as u16, word(4), back[1] & 0x80 != 0, back[12 + 80]));
        }
    }
    let receive_phase = shard.seats[0].as_ref().unwrap().voice.ends.phase as u64;
    bots.stop();
    (departures, receive_phase)
}

#[test]
fn the_phases_of_a_leg_follow_its_sender_once_and_the_stream_stays_whole() {
    for phase_of_packets in 0..10 {
        let (departures, receive_phase) = echo_of_a_caller_in(phase_of_packets);
        // Half a millisecond after the packets, in steps of two.
        assert_eq!(receive_phase, (phase_of_packets + 1) % 10);
        let (first, ..) = departures[0];
        let mut gaps = Vec::new();
        for (before, now) in departures.iter().zip(&departures[1..]) {
            assert_eq!(now.1, before.1.wrapping_add(1), "sequence, {phase_of_packets}");
            let elapsed = (now.0 - first) as u32 * 16;
            assert_eq!(now.2, departures[0].2.wrapping_add(elapsed), "timestamp, {phase_of_packets}");
            assert_eq!(now.3, now.0 - before.0 != 10, "a marker after a gap and nowhere else");
            gaps.extend((now.0 - before.0 != 10).then_some(now.0 - before.0));
        }
        assert!(gaps.len() <= 1 && gaps.iter().all(|gap| (11..20).contains(gap)), "{phase_of_packets}: {gaps:?}");
        // From arrival to departure: to the next phase, a tick of jitter buffer, the bot's budget.
        let (phase, .., code) = departures[departures.len() - 1];
        let arrived = (100 + 10 * u64::from(code & 0x3f)..).find(|at| at % 10 == phase_of_packets).unwrap();
        assert_eq!((phase - arrived) % 640, 1 + 10 + 5, "{phase_of_packets}: {phase} {arrived}");
        // Every frame came back once, but one of the first ten, which may go for a shorter delay.
        let codes = departures.iter().map(|departure| departure.4).filter(|code| (0x80..0xc0).contains(code));
        let codes: Vec<u8> = codes.collect();
        let missing = codes.windows(2).filter(|pair| pair[1] != (pair[0] + 1) & 0x3f | 0x80).count();
        assert!(missing <= 1, "{phase_of_packets}: {codes:02x?}");
    }
}
