//! A warm leg allocates nothing per frame on plain RTP, digits included; SRTP's crate does, and this says how much.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use media::voice_activity::{BargeIn, BargeInAct, BargeInPolicy, SpeechRules, VoiceActivity};
use media::{
    Codec, DigitTiming, Direction, FRAME, FrameKind, JitterBounds, Leg, LegParams, Negotiated, PayloadType,
    SoundSource, Srtp, SrtpKey, SrtpSuite, playout,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: hands every request on to the system's allocator unchanged; the counter is a plain thread-local number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        let _ = LIVE_BYTES.try_with(|live| live.set(live.get() + layout.size() as i64));
        // SAFETY: the caller's contract is System's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        let _ = LIVE_BYTES.try_with(|live| live.set(live.get() - layout.size() as i64));
        // SAFETY: the caller's contract is System's.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

fn leg(srtp: Option<Srtp>, start: Instant) -> Leg {
    let remote = Some("10.0.0.1:4000".parse().unwrap());
    let negotiated = Negotiated {
        codec: Codec::Pcma,
        payload_type: PayloadType(8),
        receive: vec![(PayloadType(8), Codec::Pcma)],
        telephone_event: Some(PayloadType(101)),
        comfort_noise: None,
        remote_rtp: remote,
        remote_rtcp: None,
        rtcp_mux: false,
        direction: Direction::SendRecv,
        held: false,
        send_ptime_ms: 20,
        srtp,
    };
    let params = LegParams {
        negotiated,
        ssrc: 1,
        first_sequence: 1,
        first_timestamp: 1,
        cname: "c".into(),
        media_networks: vec!["10.0.0.0/8".parse().unwrap()],
        sdp_address_allowed: false,
        jitter: JitterBounds::default(),
        media_timeout: Duration::from_secs(60),
        digits: DigitTiming::default(),
        seed: 1,
    };
    Leg::new(params, start)
}

struct Queue(media::PlayoutReader);

impl SoundSource for Queue {
    fn next_frame(&mut self, frame: &mut [i16; 160]) -> bool {
        self.0.pull(frame) > 0
    }
}

#[test]
fn a_warm_leg_allocates_nothing_per_frame() {
    let start = Instant::now();
    let mut leg = leg(None, start);
    let (mut writer, reader) = playout(1000);
    let mut sound = Queue(reader);
    let from = "10.0.0.1:4000".parse().unwrap();
    let (mut out, mut frame, mut packet) = (Vec::new(), [0; 160], [0x55; 172]);
    let (mut warm_at, mut began) = (0, start);
    for tick in 0..5000_u32 {
        if tick == 500 {
            (warm_at, began) = (allocations(), Instant::now());
        }
        let now = start + FRAME * tick;
        // Every 50th packet is lost, every 70th is an event, every 90th comes twice.
        packet[0] = 0x80;
        packet[1] = if tick % 70 < 3 { 101 } else { 8 };
        packet[12] = 5;
        packet[2..4].copy_from_slice(&(tick as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(tick * 160).to_be_bytes());
        for _ in 0..if tick % 90 == 0 { 2 } else { usize::from(tick % 50 != 0) } {
            leg.receive_rtp(&mut packet, from, now);
        }
        leg.take_frame(now, &mut frame);
        writer.write(&frame[..if tick % 3 == 0 { 160 } else { 150 }]);
        if tick % 100 == 0 {
            writer.clear();
            leg.send_digits(u64::from(tick), "1,2#").unwrap();
        }
        while writer.poll_cleared().is_some() {}
        leg.send(now, &mut sound, &mut out).unwrap();
        while leg.poll_event().is_some() {}
        let _ = leg.stats();
    }
    let allocated = allocations() - warm_at;
    println!("plain RTP: {:?} for a packet in, a frame and a packet out", began.elapsed() / 4500);
    assert_eq!(allocated, 0);
    let stats = leg.stats();
    assert!(stats.digits_sent > 100 && stats.digits_received > 50 && stats.sound.frames_audio > 4000, "{stats:?}");
}

#[test]
fn listening_for_speech_allocates_nothing_per_frame() {
    let rules = SpeechRules { strictness: 0, start_ms: 20, hang_over_ms: 100 };
    let mut ear = VoiceActivity::new(rules);
    let mut barge_in = BargeIn::new(BargeInPolicy::PauseThenConfirm(100));
    let (mut writer, mut reader) = playout(1000);
    let mut frame = [0; 160];
    let before = allocations();
    let mut heard = 0;
    for tick in 0..1000_u64 {
        // Half a second of pulses, a hundred a second through a resonance, and half a second of nothing.
        for (at, sample) in frame.iter_mut().enumerate() {
            let since_pulse = (at % 80) as f32;
            let voice = 9000.0 * (-since_pulse / 20.0).exp() * (since_pulse * 0.5).cos();
            *sample = if tick / 25 % 2 == 0 { voice as i16 } else { 0 };
        }
        let told = ear.frame(tick, FrameKind::Audio, &frame);
        heard += u32::from(told.event.is_some());
        writer.write(&frame);
        match barge_in.heard(&told, writer.queued_ms() > 0) {
            Some(BargeInAct::Pause) => writer.pause(),
            Some(BargeInAct::Resume) => writer.resume(),
            Some(BargeInAct::Clear) => drop(writer.clear()),
            None => {}
        }
        while writer.poll_cleared().is_some() {}
        reader.pull(&mut frame);
    }
    assert_eq!(allocations() - before, 0);
    assert!(heard >= 2, "nothing was heard");
}

#[test]
fn srtp_allocates_a_bounded_number_of_times_for_each_packet() {
    let start = Instant::now();
    let key = SrtpKey([7; 30]);
    let srtp = Srtp { suite: SrtpSuite::AesCm128HmacSha1_80, tag: 1, ours: key.clone(), theirs: key };
    // Two legs with one key, one speaking to the other.
    let (mut speaker, mut listener) = (leg(Some(srtp.clone()), start), leg(Some(srtp), start));
    let from = "10.0.0.1:4000".parse().unwrap();
    let (mut out, mut frame) = (Vec::new(), [0; 160]);
    let (mut sending, mut receiving) = (0, 0);
    for tick in 0..600_u32 {
        let now = start + FRAME * tick;
        let before = allocations();
        speaker.send(now, &mut (), &mut out).unwrap();
        let between = allocations();
        listener.receive_rtp(&mut out, from, now);
        listener.take_frame(now, &mut frame);
        if tick >= 100 {
            sending += between - before;
            receiving += allocations() - between;
        }
    }
    assert_eq!(listener.stats().packets_received, 600);
    println!("SRTP: {} allocations a packet sent, {} received", sending as f64 / 500.0, receiving as f64 / 500.0);
    assert!(sending <= 500 * 10 && receiving <= 500 * 12, "{sending} {receiving} for 500 packets");
}

#[test]
fn forged_ssrcs_leave_nothing_on_the_heap() {
    let start = Instant::now();
    let key = SrtpKey([7; 30]);
    let mut leg =
        leg(Some(Srtp { suite: SrtpSuite::AesCm128HmacSha1_80, tag: 1, ours: key.clone(), theirs: key }), start);
    let from = "10.0.0.1:4000".parse().unwrap();
    let mut forge = |ssrc: u32| {
        let mut rtp = [0x55; 182];
        (rtp[0], rtp[1]) = (0x80, 8);
        rtp[8..12].copy_from_slice(&ssrc.to_be_bytes());
        assert_eq!(leg.receive_rtp(&mut rtp, from, start), None);
        // A receiver report with the E bit set.
        let mut rtcp = [0x80; 22];
        (rtcp[1], rtcp[2], rtcp[3]) = (201, 0, 1);
        rtcp[4..8].copy_from_slice(&ssrc.to_be_bytes());
        leg.receive_rtcp(&mut rtcp, from, start);
    };
    forge(0);
    let before = LIVE_BYTES.with(Cell::get);
    (1..2000).for_each(&mut forge);
    assert_eq!(LIVE_BYTES.with(Cell::get), before);
    assert_eq!(leg.stats().drops.get(media::DropReason::Unauthenticated), 4000);
}
