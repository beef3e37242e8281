//! The hot loop: all legs, on one thread, in phases.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Result, anyhow};

use crate::leg::Leg;
use crate::phases::{PHASES, Phases, TICK};
use crate::tally::Clock;

enum Order {
    Start(Box<Leg>),
    Measure(Instant, Instant),
    /// Nothing is sent any more; what comes is still taken.
    Hush,
    Stop,
}

/// The thread's handle.
pub struct Traffic {
    orders: Sender<Order>,
    thread: JoinHandle<Vec<Leg>>,
}

impl Traffic {
    pub fn start(clock: Clock) -> Traffic {
        let (orders, ordered) = channel();
        Traffic { orders, thread: std::thread::spawn(move || run(&ordered, &clock)) }
    }

    /// The leg sends from its next phase on.
    pub fn add(&self, leg: Leg) {
        self.order(Order::Start(Box::new(leg)));
    }

    /// Frames sent between these moments count.
    pub fn measure(&self, from: Instant, until: Instant) {
        self.order(Order::Measure(from, until));
    }

    /// From now on it only listens.
    pub fn hush(&self) {
        self.order(Order::Hush);
    }

    /// Gives the legs back, their sockets still open.
    pub fn stop(self) -> Result<Vec<Leg>> {
        self.order(Order::Stop);
        self.thread.join().map_err(|_| anyhow!("the generator's media thread panicked"))
    }

    fn order(&self, order: Order) {
        // The thread ends only by `stop`, or by a panic that `stop` reports.
        let _ = self.orders.send(order);
    }
}

fn run(orders: &Receiver<Order>, clock: &Clock) -> Vec<Leg> {
    let mut legs: [Vec<Leg>; PHASES as usize] = Default::default();
    let mut interval = None;
    let (mut started, mut hushed) = (0, false);
    let mut phases = Phases::new();
    loop {
        let (phase, due) = phases.wait();
        while let Ok(order) = orders.try_recv() {
            match order {
                Order::Start(leg) => {
                    legs[started % PHASES as usize].push(*leg);
                    started += 1;
                }
                Order::Measure(from, until) => {
                    interval = Some((from, until));
                    let frames = until.saturating_duration_since(from).div_duration_f64(TICK) as usize + 2;
                    legs.iter_mut().flatten().for_each(|leg| leg.returned.make_room(frames));
                }
                Order::Hush => hushed = true,
                Order::Stop => {
                    let mut legs: Vec<Leg> = legs.into_iter().flatten().collect();
                    legs.iter_mut().for_each(|leg| leg.drain(usize::MAX, clock));
                    return legs;
                }
            }
        }
        let measured = interval.is_some_and(|(from, until)| due >= from && due < until);
        for leg in &mut legs[(phase % PHASES) as usize] {
            match hushed {
                false => leg.tick(due, measured, clock),
                true => leg.drain(1, clock),
            }
        }
    }
}
