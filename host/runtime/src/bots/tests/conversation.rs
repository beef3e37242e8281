//! A bot asks, somebody else answers, and the answer comes to the bot's handler.

use std::sync::{Arc, Mutex};

use plugin::{ControlEvent, Generation, HostError, HttpEvent, Outcome, Request};

use super::plane::{Plane, load_component};
use crate::bots::{BotPlaneEvent, Caller, Services};

#[allow(dead_code, reason = "others use the rest of it")]
#[path = "../../../../plugin/tests/plugin/bots.rs"]
mod components;

/// Asks once it is answered, puts the caller on hold when the caller does; notes the case of each event that its handlers see.
fn curious() -> Generation {
    let source = components::Source {
        imports: r#"
            (import "patchbay:bot/http@0.1.0" "send" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
            (import "patchbay:bot/control@0.1.0" "hold" (func $hold (param i32)))
            (import "patchbay:bot/call@0.1.0" "note" (func $note (param i32 i32 i32 i32 i32)))"#,
        items: r#"
            (data (i32.const 2048) "GEThttps://a/0123456789httphold")
            (func (export "patchbay:bot/http-handler@0.1.0#on-http")
                (param i64) (param $case i32) (param i32 i32 i32 i32 i32 i32)
                (call $note (i32.const 2071) (i32.const 4)
                    (i32.add (i32.const 2061) (local.get $case)) (i32.const 1) (i32.const 3072)))
            (func (export "patchbay:bot/control-handler@0.1.0#on-control")
                (param i64) (param $case i32) (param i32 i32 i32)
                (call $note (i32.const 2075) (i32.const 4)
                    (i32.add (i32.const 2061) (local.get $case)) (i32.const 1) (i32.const 3072)))"#,
        on_event: "
            (if (i32.eq (local.get $case) (i32.const 0)) (then
                (call $send (i32.const 2048) (i32.const 3) (i32.const 2051) (i32.const 10) (i32.const 0) (i32.const 0)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 3072))))
            (if (i32.eq (local.get $case) (i32.const 6)) (then (call $hold (i32.const 3072))))",
        handlers: &["http", "control"],
        ..components::ECHO
    };
    Generation { number: 1, plugin: load_component("curious", &source.component()) }
}

/// What services were told, and the calls' handles.
#[derive(Default)]
struct Told {
    lines: Mutex<Vec<String>>,
    begun: Mutex<Vec<(Caller, u64)>>,
}

impl Services for Told {
    fn check(&self, _caller: &Caller, request: &Request) -> Result<(), HostError> {
        self.lines.lock().unwrap().push(format!("check {}", request.pair().name()));
        Ok(())
    }

    fn begin(&self, caller: &Caller, id: u64, request: Request) {
        self.lines.lock().unwrap().push(format!("begin {} for {}", request.pair().name(), caller.tenant()));
        self.begun.lock().unwrap().push((caller.clone(), id));
    }

    fn cancel(&self, _caller: &Caller, _id: u64) {
        self.lines.lock().unwrap().push("cancel".to_owned());
    }

    fn ended(&self, _caller: &Caller) {
        self.lines.lock().unwrap().push("ended".to_owned());
    }
}

#[test]
fn a_request_reaches_its_service_and_each_of_its_outcomes_the_bot() {
    let told = Arc::new(Told::default());
    let mut plane = Plane::of(curious(), Arc::clone(&told) as Arc<dyn Services>);
    let line = plane.call("");
    plane.answer(&line);
    plane.wake_until("the request", || !told.begun.lock().unwrap().is_empty());
    let (caller, id) = told.begun.lock().unwrap()[0].clone();
    for (event, case) in [
        (HttpEvent::Head { status: 200, headers: Vec::new() }, "0"),
        (HttpEvent::Body(vec![1]), "1"),
        (HttpEvent::Done, "3"),
    ] {
        caller.answers().offer(id, Outcome::Http(event)).unwrap();
        plane.await_note(&line, "http", case);
    }
    plane.end(&line);
    assert_eq!(*told.lines.lock().unwrap(), ["check http", "begin http for t", "ended"]);
    assert_eq!(caller.answers().offer(id, Outcome::Http(HttpEvent::Done)), Ok(()), "nobody hears it");
}

#[test]
fn who_waits_for_room_goes_on_when_the_bot_takes_what_waits_and_when_the_call_ends() {
    let told = Arc::new(Told::default());
    let mut plane = Plane::of(curious(), Arc::clone(&told) as Arc<dyn Services>);
    let line = plane.call("");
    plane.answer(&line);
    plane.wake_until("the request", || !told.begun.lock().unwrap().is_empty());
    let (caller, id) = told.begun.lock().unwrap()[0].clone();
    let give = |count: usize| {
        let caller = caller.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                for _ in 0..count {
                    caller.answers().give(id, Outcome::Http(HttpEvent::Body(vec![1]))).await;
                }
            });
        })
    };
    let giving = give(500);
    plane.wake_until("all of it to be taken", || giving.is_finished());
    // Nobody takes anything from here on.
    let giving = give(500);
    while caller.answers().offer(id, Outcome::Http(HttpEvent::Body(vec![1]))).is_ok() {
        std::thread::yield_now();
    }
    assert!(!giving.is_finished());
    plane.bots.close(line.call);
    giving.join().unwrap();
}

#[test]
fn a_hold_goes_to_the_call_and_its_end_comes_back() {
    let told = Arc::new(Told::default());
    let mut plane = Plane::of(curious(), Arc::clone(&told) as Arc<dyn Services>);
    let line = plane.call("");
    plane.bots.event(line.call, plugin::Event::Hold);
    let asked = |event: &BotPlaneEvent| matches!(event, BotPlaneEvent::Act { act: call::BotAct::Hold { .. }, .. });
    let Some(BotPlaneEvent::Act { act: call::BotAct::Hold { id }, .. }) = plane.await_event(asked).last() else {
        unreachable!("it was waited for");
    };
    let id = *id;
    plane.bots.control(line.call, id, ControlEvent::Done);
    plane.await_note(&line, "hold", "1");
    plane.end(&line);
    assert_eq!(*told.lines.lock().unwrap(), ["check control", "ended"]);
}
