//! A call that exists only in a test: the bot runs natively, in virtual time, against a host made of plain data.
//!
//!     let mut call = FakeCall::<Echo>::dialled("1000").connect();
//!     call.say(&tone(400.0, 20));
//!     call.advance_ms(20);
//!     assert_eq!(call.take_heard().samples(), tone(400.0, 20));
//!
//! Time goes in ticks of 20 ms, each in the host's order: timers and events, then the frame, then sound to the caller.
//! The limits of `bot.wit` are kept, so what a test sees refused is what a host would refuse.
//! A bot that panics fails its test; CPU time and memory are not limited here.

mod beyond;
mod heard;
mod host;
mod services;

use std::cell::RefCell;
use std::rc::Rc;

pub use heard::Heard;
use host::State;
pub use host::{Host, LogLine};
pub use services::{Engine, Request, Sent, Spoken};

use crate::conversation::{self, Ended, Talk};
use crate::running::Running;
use crate::{
    Answer, Bot, CallInfo, Digit, Event, FRAME_SAMPLES, Frame, FrameKind, Frames, Happened, HungUp, Refusal,
    StartReason,
};

const TICK_MS: u64 = 20;
/// Between two keys of [`FakeCall::press`].
const KEY_MS: u64 = 100;
/// How long a bot lives on after the hangup without `done`.
const AFTERLIFE_MS: u64 = 10_000;

const DROPPED: &str = "the bot is there until its call is dropped";

thread_local! {
    /// The host of the call whose bot is being entered.
    static ENTERED: RefCell<Option<Rc<RefCell<Host>>>> = const { RefCell::new(None) };
}

/// What the imports reach off Wasm.
pub(crate) fn host<T>(import: impl FnOnce(&mut Host) -> T) -> T {
    ENTERED.with_borrow(|entered| {
        let host = entered.as_ref().expect("a bot can reach its call only while a FakeCall has entered it");
        import(&mut host.borrow_mut())
    })
}

/// A call that is about to come in: say what the bot will see, then [`connect`](Incoming::connect).
pub struct Incoming<B> {
    host: Host,
    info: CallInfo,
    config: String,
    reason: StartReason,
    /// What makes an instance.
    make: Rc<dyn Fn() -> B>,
}

impl<B: Bot> Incoming<B> {
    pub fn caller(mut self, number: &str) -> Self {
        self.info.caller = number.to_owned();
        self
    }

    /// One more header of the INVITE.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.host.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.host.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What `Call::config` gives for this key.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.host.config.push((key.to_owned(), value.to_owned()));
        self
    }

    /// What `Start::config` holds; `{}` unless told.
    pub fn config_json(mut self, object: &str) -> Self {
        self.config = object.to_owned();
        self
    }

    /// How much sound the host's queue takes; 10 s unless told.
    pub fn playout_ms_max(mut self, ms: usize) -> Self {
        self.host.playout_ms_max = ms;
        self
    }

    /// How texts are spoken.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.host.services.engine = engine;
        self
    }

    pub fn reason(mut self, reason: StartReason) -> Self {
        self.reason = reason;
        self
    }

    /// Starts the bot; unless it lets the call ring, the call is up afterwards.
    pub fn start(self) -> Result<FakeCall<B>, Refusal> {
        let host = Rc::new(RefCell::new(self.host));
        let (running, accept) =
            entered(&host, || Running::start((self.make)(), self.info.clone(), self.config.clone(), self.reason))?;
        host.borrow_mut().frames_wanted = accept.frames == Frames::All;
        let mut call = FakeCall { running: Some(running), host, info: self.info, config: self.config, make: self.make };
        if accept.answer == Answer::Now {
            call.host.borrow_mut().answer();
            call.host.borrow_mut().advance(0);
            call.deliver();
        }
        Ok(call)
    }

    /// [`start`](Incoming::start), for a bot that does not refuse.
    pub fn connect(self) -> FakeCall<B> {
        match self.start() {
            Ok(call) => call,
            Err(refusal) => panic!("the bot refused the call: {} {}", refusal.status, refusal.reason),
        }
    }
}

/// A call with its bot. See the head of this module.
pub struct FakeCall<B> {
    /// None only while it is dropped.
    running: Option<Running<B>>,
    host: Rc<RefCell<Host>>,
    info: CallInfo,
    config: String,
    make: Rc<dyn Fn() -> B>,
}

impl<B: Bot + Default> FakeCall<B> {
    /// A call to this number, from `+15550100` over the trunk `test`.
    pub fn dialled(number: &str) -> Incoming<B> {
        FakeCall::made_by(B::default, number)
    }
}

impl FakeCall<Talk> {
    /// The same, for the bot that an async function is.
    pub fn conversation<R, T>(run: R, number: &str) -> Incoming<Talk>
    where
        R: Fn(conversation::Call) -> T + Copy + 'static,
        T: Future<Output: Ended> + 'static,
    {
        FakeCall::made_by(move || Talk::new(run), number)
    }
}

impl<B: Bot> FakeCall<B> {
    fn made_by(make: impl Fn() -> B + 'static, number: &str) -> Incoming<B> {
        let info = CallInfo {
            id: "call-1".to_owned(),
            caller: "+15550100".to_owned(),
            called: number.to_owned(),
            trunk: "test".to_owned(),
            tenant: "test".to_owned(),
        };
        Incoming {
            host: Host::default(),
            info,
            config: "{}".to_owned(),
            reason: StartReason::Fresh,
            make: Rc::new(make),
        }
    }

    /// Lets that much time pass, rounded up to ticks.
    pub fn advance_ms(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(TICK_MS) {
            self.tick();
        }
    }

    /// The caller presses these keys, 100 ms apart.
    pub fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            let tick = self.host.borrow().tick;
            self.happens(Event::Digit(Digit { key, tick }));
            self.advance_ms(KEY_MS);
        }
    }

    /// The caller says this, from the next tick on, 20 ms a tick.
    pub fn say(&mut self, samples: &[i16]) {
        self.host.borrow_mut().from_caller.extend(samples);
    }

    /// Of which kind the frames from the caller are from now on; all but audio are silence where nothing was said.
    pub fn frames_are(&mut self, kind: FrameKind) {
        self.host.borrow_mut().frame_kind = kind;
    }

    pub fn hold(&mut self) {
        self.frames_are(FrameKind::Held);
        self.happens(Event::Hold);
    }

    pub fn resume(&mut self) {
        self.frames_are(FrameKind::Audio);
        self.happens(Event::Resume);
    }

    /// The caller hangs up.
    pub fn hang_up(&mut self) {
        self.host.borrow_mut().end("caller");
        self.deliver();
    }

    /// All that the caller heard since the last time, silence included.
    pub fn take_heard(&mut self) -> Heard {
        Heard::new(std::mem::take(&mut self.host.borrow_mut().heard))
    }

    /// Sound that waits in the queue, in ms.
    pub fn queued_ms(&self) -> u32 {
        self.host.borrow().queued_ms()
    }

    pub fn is_up(&self) -> bool {
        matches!(self.host.borrow().state, State::Up)
    }

    pub fn is_ringing(&self) -> bool {
        matches!(self.host.borrow().state, State::Ringing)
    }

    /// Who hung up and why; `None` while the call lives.
    pub fn ended(&self) -> Option<HungUp> {
        self.host.borrow().ended()
    }

    /// The bot has said `done`, or its time after the hangup is over.
    pub fn is_done(&self) -> bool {
        self.host.borrow().is_gone()
    }

    pub fn now_ms(&self) -> u64 {
        self.host.borrow().now_ms
    }

    /// Key and value, each key once, in the order of their first writing.
    pub fn notes(&self) -> Vec<(String, String)> {
        self.host.borrow().notes.clone()
    }

    pub fn note(&self, key: &str) -> Option<String> {
        self.notes().into_iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub fn logs(&self) -> Vec<LogLine> {
        self.host.borrow().logs.clone()
    }

    /// Keys that the bot pressed towards the caller.
    pub fn digits_sent(&self) -> String {
        self.host.borrow().digits_sent.clone()
    }

    /// Frames that the bot answered with another length than 160.
    pub fn wrong_lengths(&self) -> u64 {
        self.host.borrow().wrong_lengths
    }

    pub fn bot(&self) -> &B {
        self.running.as_ref().expect(DROPPED).bot()
    }

    pub fn save(&self) -> Option<Vec<u8>> {
        entered(&self.host, || self.running.as_ref().expect(DROPPED).save())
    }

    /// Moves the call to a new instance, as a new build does; queue, marks and timers stay. False, and nothing has
    /// happened, if the bot saves nothing or the new instance refuses.
    pub fn move_over(&mut self) -> bool {
        self.save().is_some_and(|state| self.replace(StartReason::Moved(state)))
    }

    /// Puts a new instance in, as after a trap, with what was saved before; queue, marks and timers are gone.
    pub fn restart_from(&mut self, saved: Vec<u8>) -> bool {
        self.host.borrow_mut().forget_operations();
        self.replace(StartReason::Restarted(saved))
    }

    fn replace(&mut self, reason: StartReason) -> bool {
        match entered(&self.host, || Running::start((self.make)(), self.info.clone(), self.config.clone(), reason)) {
            Ok((running, accept)) => {
                entered(&self.host, || self.running = Some(running));
                self.host.borrow_mut().frames_wanted = accept.frames == Frames::All;
                true
            }
            Err(_) => false,
        }
    }

    fn tick(&mut self) {
        self.host.borrow_mut().advance(TICK_MS);
        self.deliver();
        let frame = self.host.borrow_mut().frame_for_bot();
        let answer =
            frame.and_then(|frame| entered(&self.host, || self.running.as_mut().expect(DROPPED).on_frame(frame)));
        self.host.borrow_mut().send_to_caller(answer);
        self.deliver_hangup();
    }

    fn happens(&mut self, event: Event) {
        self.host.borrow_mut().events.push_back(event.into());
        self.deliver();
    }

    /// Hands over what has happened. What the bot brings about meanwhile comes at the next tick.
    fn deliver(&mut self) {
        loop {
            let happened: Option<Happened> = self.host.borrow_mut().events.pop_front();
            let Some(happened) = happened else { break };
            if !self.host.borrow().is_gone() {
                entered(&self.host, || self.running.as_mut().expect(DROPPED).happened(happened));
            }
        }
        self.deliver_hangup();
    }

    /// A hangup that the bot asked for takes effect in the tick it was asked in, or when the queue ran empty.
    fn deliver_hangup(&mut self) {
        if self.host.borrow_mut().end_if_due() {
            self.deliver();
        }
    }
}

/// What a bot holds may cancel operations when it is dropped.
impl<B> Drop for FakeCall<B> {
    fn drop(&mut self) {
        entered(&self.host, || self.running = None);
    }
}

/// Enters a bot: imports reach this host meanwhile.
fn entered<T>(host: &Rc<RefCell<Host>>, enter: impl FnOnce() -> T) -> T {
    /// Leaves again even if the bot panics, so that another test on this thread is not disturbed.
    struct Leave(Option<Rc<RefCell<Host>>>);
    impl Drop for Leave {
        fn drop(&mut self) {
            ENTERED.set(self.0.take());
        }
    }
    let _leave = Leave(ENTERED.replace(Some(host.clone())));
    enter()
}

fn frame(tick: u64, samples: Vec<i16>, kind: FrameKind) -> Frame {
    debug_assert_eq!(samples.len(), FRAME_SAMPLES);
    Frame { tick, samples, kind }
}

#[cfg(test)]
mod tests;
