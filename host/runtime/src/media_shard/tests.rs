//! What a media thread does per frame, on real sockets: it allocates nothing, and a leg in which the host fails costs that leg.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use media::{
    Codec, DigitTiming, Direction, JitterBounds, LegParams, Negotiated as Session, PayloadType, PlayoutWriter,
};

use super::*;
use crate::bots::{FromBot, FromCaller, Pressed, Shared};
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

#[global_allocator]
static COUNTING: Counting = Counting;

/// The bot's ends of one seat's rings.
struct BotSide {
    frames: rtrb::Consumer<FromCaller>,
    _digits: rtrb::Consumer<Pressed>,
    answers: rtrb::Producer<FromBot>,
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
    let (frames, frames_out) = rtrb::RingBuffer::new(50);
    let (digits, digits_out) = rtrb::RingBuffer::new(64);
    let (answers, answers_out) = rtrb::RingBuffer::new(25);
    let (queue, playout) = media::playout(1000);
    let shared = Arc::new(Shared::default());
    shared.wants_frames.store(true, std::sync::atomic::Ordering::Relaxed);
    let ends = MediaEnds { phase: 0, frames, digits, answers: answers_out, playout, shared };
    let seat = Seat {
        call: sip::DialogId(call),
        leg: Leg::new(params, now),
        rtp: ports.rtp,
        rtcp: ports.rtcp,
        voice: Voice::new(ends, 20),
        tap: None,
        ptime_ms: 20,
        heard: true,
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
        seat.receive(now, now + Duration::from_millis(10), &mut scratch, &mut |_| {});
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

#[test]
fn a_leg_in_which_the_host_fails_is_closed_and_counted_and_the_others_go_on() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let now = Instant::now();
    let (bots, _reports) = crate::bots::Bots::start(1, Default::default()).unwrap();
    let (_commands, receiver) = commands::channel();
    let (events, mut told) = mpsc::unbounded_channel();
    let counters = ShardCounters {
        late_phases: Counter::default(),
        skipped_phases: Counter::default(),
        broken_legs: Counter::default(),
    };
    let mut shard = Shard {
        commands: receiver,
        events,
        lane: Arc::clone(&bots.lanes()[0]),
        schedule: Schedule::new(Duration::from_millis(10)),
        seats: Vec::new(),
        free: Vec::new(),
        broken: Vec::new(),
        scratch: Scratch::new(),
        counters,
    };
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

#[test]
fn of_a_flood_32_packets_are_read_in_one_phase_and_the_rest_in_the_next() {
    let now = Instant::now();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut seat, _bot) = seat(3, &peer, now);
    let packet = |sequence: u16| {
        let mut packet = vec![0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
        packet.extend([0xd5; 160]);
        packet
    };
    let to = seat.rtp.local_addr().unwrap();
    for sequence in 0..40 {
        peer.send_to(&packet(sequence), to).unwrap();
    }
    let mut scratch = Scratch::new();
    let mut accepted = |phase: u32| {
        let at = now + Duration::from_millis(20) * phase;
        seat.receive(at, at, &mut scratch, &mut |_| {});
        seat.leg.stats().packets_received
    };
    assert_eq!(accepted(1), 32);
    assert_eq!(accepted(2), 40);
}
