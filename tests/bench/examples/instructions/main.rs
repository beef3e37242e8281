//! What `cargo xtask bench instructions` counts: pieces of the host's hot paths, one after the other, each alone inside
//! `counted`. Run plainly it only shows that every piece does what it is counted for.
//!
//!     instructions                 names the pieces
//!     instructions PIECE [ECHO]    does it `TIMES` times; ECHO is the echo bot's component

mod bot;
mod media_path;
mod signalling;

/// So often each piece is done inside `counted`, after as many times outside.
const TIMES: u32 = 500;

/// What is called once for each time, with the number of the time.
pub type Run = anyhow::Result<Box<dyn FnMut(u32, &mut Meter)>>;

/// A piece: prepared outside the count, done inside it.
pub struct Piece {
    pub name: &'static str,
    /// Given the path of the echo bot's component.
    pub make: fn(&str) -> Run,
}

/// Runs the counted part of a piece, if it is time to count.
pub struct Meter {
    counts: bool,
}

impl Meter {
    pub fn count(&mut self, mut act: impl FnMut()) {
        if self.counts { counted(&mut act) } else { act() }
    }
}

/// Its name is what callgrind is told to look for.
#[unsafe(no_mangle)]
#[inline(never)]
fn counted(act: &mut dyn FnMut()) {
    act();
}

fn main() -> anyhow::Result<()> {
    let pieces = || media_path::PIECES.iter().chain(signalling::PIECES).chain(bot::PIECES);
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        println!("times {TIMES}");
        pieces().for_each(|piece| println!("{}", piece.name));
        return Ok(());
    };
    let piece = pieces().find(|piece| piece.name == name).ok_or_else(|| anyhow::anyhow!("no piece is named {name}"))?;
    let mut run = (piece.make)(&arguments.next().unwrap_or_default())?;
    for time in 0..2 * TIMES {
        run(time, &mut Meter { counts: time >= TIMES });
    }
    Ok(())
}
