//! What one `on-frame` costs: `cargo run -p patchbay-plugin --example frame_cost -- target/bots/echo.wasm [instances]`.
//! Prints figures, asserts none: they depend on machine, load and build profile.

use plugin::{CallInfo, Engine, Event, FrameKind, InertPort, Instance, Limits, StartReason};
use std::time::{Duration, Instant};

const ROUNDS: u64 = 2000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "target/bots/echo.wasm".to_owned());
    let many: usize = arguments.next().map_or(Ok(1000), |count| count.parse())?;
    let engine = Engine::new(Limits::default())?;
    let bytes = std::fs::read(&path)?;
    let (plugin, compile) = timed(|| engine.load("bot", &bytes));
    let plugin = plugin?;
    println!("{path}: {} bytes, compiled in {compile:?}", bytes.len());
    plugin.try_out()?;

    let ticker = engine.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(1));
            ticker.tick();
        }
    });

    let (bots, made) = timed(|| (0..many).map(|_| started(&plugin)).collect::<Result<Vec<_>, _>>());
    let mut bots = bots?;
    println!(
        "instantiate + start: {:?} each, {} KiB of guest memory each",
        made / many as u32,
        bots[0].memory_bytes() >> 10
    );

    let (_, one) = timed(|| (0..ROUNDS * 50).try_for_each(|tick| frame(&mut bots[0], tick)));
    println!("on-frame, one instance: {} ns", one.as_nanos() / u128::from(ROUNDS * 50));
    let before: Duration = bots.iter().map(Instance::guest_time).sum();
    let rounds = ROUNDS / 20;
    let (_, all) = timed(|| (0..rounds).try_for_each(|tick| bots.iter_mut().try_for_each(|bot| frame(bot, tick))));
    let frames = u128::from(rounds) * many as u128;
    let after: Duration = bots.iter().map(Instance::guest_time).sum();
    println!("on-frame, over {many} instances: {} ns", all.as_nanos() / frames);
    println!("guest time as the meter sees it: {} ns a frame", (after - before).as_nanos() / frames);
    Ok(())
}

fn timed<R>(run: impl FnOnce() -> R) -> (R, Duration) {
    let began = Instant::now();
    let result = run();
    (result, began.elapsed())
}

fn started(plugin: &plugin::Plugin) -> Result<Instance, plugin::Fault> {
    let mut bot = plugin.instantiate(Box::new(InertPort::default()), usize::MAX)?;
    bot.start(&CallInfo::default(), "{}", StartReason::Fresh)?;
    bot.on_event(Event::Answered)?;
    Ok(bot)
}

fn frame(bot: &mut Instance, tick: u64) -> Result<(), plugin::Fault> {
    let mut answer = [0; 160];
    bot.on_frame(tick, &[1000; 160], FrameKind::Audio, &mut answer)?;
    std::hint::black_box(answer);
    Ok(())
}
