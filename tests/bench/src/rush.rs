//! Calls that come and go at a steady rate while others are measured.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Load;
use crate::uac::Uac;

/// How long each call is up.
const EACH: Duration = Duration::from_millis(500);
/// The longest wait for the host's word before the next call is due.
const TURN: Duration = Duration::from_millis(2);

pub struct Rush {
    uac: Uac,
    called: String,
    per_second: usize,
    began: Instant,
    placed: usize,
    /// Those that are not over, and since when.
    open: VecDeque<(usize, Instant)>,
}

impl Rush {
    pub fn begin(load: &Load, host: std::net::SocketAddr) -> Result<Rush> {
        let mut uac = Uac::connect(host, load.srtp.as_deref(), &load.bot)?;
        uac.tolerant = true;
        let (called, per_second) = (load.bot.clone(), load.setups);
        Ok(Rush { uac, called, per_second, began: Instant::now(), placed: 0, open: VecDeque::new() })
    }

    /// Places what is due, takes answers, hangs up what has lasted.
    pub fn turn(&mut self) -> Result<()> {
        let due = (self.began.elapsed().as_secs_f64() * self.per_second as f64) as usize;
        while self.placed < due {
            self.open.push_back((self.uac.dial(&self.called)?, Instant::now()));
            self.placed += 1;
        }
        self.uac.exchange(TURN, &mut |_| Ok(()))?;
        while let Some((number, since)) = self.open.front().copied()
            && since.elapsed() >= EACH
        {
            if self.uac.is_up(number) {
                self.uac.bye(number)?;
            } else if self.uac.is_live(number) {
                // Not answered yet: the ones behind it are younger.
                break;
            }
            self.open.pop_front();
        }
        Ok(())
    }

    /// Ends them all: how many were placed, how many of them failed, and their setup times. Units: ns.
    pub fn end(mut self) -> Result<(usize, usize, Vec<i64>)> {
        self.uac.hang_up(20)?;
        Ok((self.placed, self.uac.lost.len(), self.uac.setups))
    }
}
