//! Whole conversations: a caller in a SIP call, plugins/agent, and engines behind the host.
//!
//! The caller is played from a recording, with pauses that are longer than any answer takes where nothing else runs. The agent does not
//! let itself be interrupted where that is not what is tested, and the caller says goodbye until it is heard: so an answer may come late.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::engines::Engines;
use crate::hearing::{spoken, transcript};
use crate::host::{Called, Host};

const GREETING: Duration = Duration::from_secs(6);
/// For an answer: two questions to a model, one to a tool, and a sentence that is spoken.
const ANSWER: Duration = Duration::from_secs(20);
const AGENT: &str = "barge_in = \"off\"\nwait_ms = 60_000\nstill_there = []\n";
/// The caller has nothing more to say after what fails.
const BRIEF_AGENT: &str = "barge_in = \"off\"\nstill_there = []\n";
/// Waits to be asked for a story.
const STORYTELLER: &str = "barge_in = \"now\"\ngreeting = \"\"\nstill_there = []\n";
/// Long after it began, and long before its end.
const INTO_THE_STORY: Duration = Duration::from_secs(15);
const REQUEST: &str = "Please connect me with the billing department.";

fn engines_of(engines: &Engines) -> String {
    let url = engines.url();
    format!(
        "[speech.stt]\nurl = \"{url}\"\nmodel = \"whisper\"\nlanguage = \"en\"\ntotal_ms_max = 100_000\n\
         [speech.tts]\nurl = \"{url}\"\nmodel = \"piper\"\nvoice = \"joe\"\nsample_rate = 22050\nquiet_ms_max = 60_000\n\
         [chat]\nurl = \"{url}\"\nmodel = \"ok\"\nquiet_ms_max = 4000\n"
    )
}

/// A tool of the agent's, and the way to it.
fn weather(engines: &Engines) -> (String, String) {
    let host = engines.host();
    let tool = format!(
        "[[routes.config.tools]]\nname = \"weather\"\nurl = \"http://{host}/weather?city={{city}}\"\n\
         parameters = {{ type = \"object\", properties = {{ city = {{ type = \"string\" }} }} }}\n"
    );
    let way = format!(
        "[[egress.private]]\nname = \"tools\"\nhosts = [\"{host}\"]\nnetworks = [\"127.0.0.1/32\"]\nplain = true\n"
    );
    (tool, way)
}

/// Any one of each group, and nothing of `unheard`.
async fn ensure_heard(engines: &Engines, called: &Called, groups: &[&[&str]], unheard: &[&str]) -> Result<()> {
    let text = transcript(engines, &called.heard).await?.to_lowercase();
    let has_any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let is_right = groups.iter().all(|group| has_any(group)) && !has_any(unheard);
    ensure!(is_right, "{groups:?} and not {unheard:?} in what was heard: {text}; {}", called.notes);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_talks_with_the_agent_which_understands_asks_a_tool_answers_and_says_goodbye() -> Result<()> {
    let Some(engines) = Engines::start("talk")? else { return Ok(()) };
    let (tool, way) = weather(&engines);
    let host = Host::start("talk", &(engines_of(&engines) + &way), &["ok"], &format!("{AGENT}{tool}"))?;
    let question = spoken(&engines, "What is the weather like today?", "pcm").await?;
    let goodbye = spoken(&engines, "Thank you very much. Goodbye.", "pcm").await?;
    let goodbyes = (0..4).map(|_| (ANSWER, goodbye.clone()));
    let says: Vec<_> = [(GREETING, question)].into_iter().chain(goodbyes).collect();
    let called = host.call("ok", &says)?;
    ensure!(called.notes["end"] == "finished", "the model ended it: {}", called.notes);
    ensure_heard(&engines, &called, &[&["help"], &["sunny"], &["warm"], &["bye"]], &["sorry"]).await?;
    host.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_interrupted_stops_and_answers_what_the_caller_said() -> Result<()> {
    let Some(engines) = Engines::start("interrupted")? else { return Ok(()) };
    let host = Host::start("interrupted", &engines_of(&engines), &["ok"], STORYTELLER)?;
    let wish = spoken(&engines, "Please tell me a long story.", "pcm").await?;
    let request = spoken(&engines, REQUEST, "pcm").await?;
    let called = host.call("ok", &[(Duration::from_secs(2), wish), (INTO_THE_STORY, request)])?;
    ensure!(called.barge_ins > 0 && called.notes["error"].is_null(), "{} {}", called.barge_ins, called.notes);
    let (begin_and_answer, end) =
        ([&["lighthouse", "light house", "island"][..], &["billing"], &["department"]], ["purple", "umbrella"]);
    ensure_heard(&engines, &called, &begin_and_answer, &end).await?;
    host.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_heard_in_real_time_is_answered_by_slow_engines_without_an_apology() -> Result<()> {
    let Some(engines) = Engines::start("slow")? else { return Ok(()) };
    let heard_in_real_time = format!("[speech.stt]\nurl = \"{}\"\nrealtime = true\n", engines.realtime_url());
    let sections = engines_of(&engines)
        .replacen(&format!("[speech.stt]\nurl = \"{}\"\n", engines.url()), &heard_in_real_time, 1)
        .replacen("\"piper\"", "\"slow\"", 1);
    let host = Host::start("slow", &sections, &["slow"], BRIEF_AGENT)?;
    let request = spoken(&engines, REQUEST, "pcm").await?;
    let called = host.call("slow", &[(GREETING, request)])?;
    ensure!(called.notes["error"].is_null() && called.notes["end"] == "silent", "{}", called.notes);
    ensure_heard(&engines, &called, &[&["help"], &["billing"], &["department"]], &["sorry", "wrong"]).await?;
    host.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_answers_rubbish_or_not_at_all_is_apologised_for() -> Result<()> {
    let Some(engines) = Engines::start("sorry")? else { return Ok(()) };
    let host = Host::start("sorry", &engines_of(&engines), &["rubbish", "hang"], BRIEF_AGENT)?;
    let question = spoken(&engines, "What is the weather like today?", "pcm").await?;
    let called = host.calls(&["rubbish", "hang"], &[(GREETING, question)])?;
    for (called, code) in called.iter().zip(["protocol", "timed-out"]) {
        ensure!(called.notes["error"] == code, "{code}: {}", called.notes);
        ensure_heard(&engines, called, &[&["sorry"]], &[]).await?;
    }
    host.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_an_ear_apologises_and_one_without_a_voice_has_it_recorded() -> Result<()> {
    let Some(engines) = Engines::start("down")? else { return Ok(()) };
    let all = engines_of(&engines);
    let without = |section: &str| {
        let (before, after) = all.split_at(all.find(section).unwrap_or_default());
        format!("{before}{}", after.replacen(&engines.url(), "http://127.0.0.1:9/v1", 1))
    };
    for (test, section) in [("deaf", "[speech.stt]"), ("mute", "[speech.tts]")] {
        let host = Host::start(test, &without(section), &["ok"], BRIEF_AGENT)?;
        let hello = spoken(&engines, "Hello, can you hear me?", "pcm").await?;
        let called = host.call("ok", &[(GREETING, hello)])?;
        ensure!(called.notes["error"] == "unreachable" && called.notes["end"] == "silent", "{test}: {}", called.notes);
        ensure_heard(&engines, &called, &[&["sorry", "wrong"]], &[]).await?;
        let log = host.log();
        let told = |of: fn(&str) -> bool| log.lines().any(|line| of(line) && line.contains("127.0.0.1:9"));
        ensure!(told(|line| line.contains("an engine failed: unreachable")), "the operator reads where: {log}");
        ensure!(!told(|line| line.contains(" bot: ")), "{test}: the bot does not: {log}");
        host.stop()?;
    }
    Ok(())
}
