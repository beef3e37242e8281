//! What a tenant's engines do for it, counted as its bots are told of it.
//!
//! An utterance or an answer counts with its first result, which the histogram has the time of; what goes wrong counts by its code.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use speech::{Ask, Chatted, Fault, Heard, LanguageModel, Listen, Say, SpeechToText, Telling, TextToSpeech, Told};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::observe::{Histogram, Metrics};

/// From what is felt as at once to what nobody waits for. Units: microseconds.
const BOUNDS_US: &[u64] = &[
    50_000, 100_000, 200_000, 300_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000, 3_000_000, 5_000_000,
    10_000_000,
];

/// An engine of one tenant.
pub struct Metered<E: ?Sized> {
    engine: Arc<E>,
    counted: Arc<Counted>,
}

impl<E: ?Sized> Metered<E> {
    /// `kind`: `stt`, `tts` or `chat`.
    pub fn new(engine: Arc<E>, kind: &'static str, metrics: &Metrics, tenant: &str) -> Self {
        let (metrics, tenant) = (metrics.clone(), tenant.to_owned());
        Self { engine, counted: Arc::new(Counted { metrics, tenant, kind, seconds: OnceLock::new() }) }
    }

    /// Counts the first result of an answer, and each fault.
    fn answer<T: 'static>(&self, answer: BoxStream<'static, Result<T, Fault>>) -> BoxStream<'static, Result<T, Fault>> {
        let counted = Arc::clone(&self.counted);
        let mut asked = Some(Instant::now());
        let counting = answer.inspect(move |result| match result {
            Ok(_) => {
                if let Some(asked) = asked.take() {
                    counted.took(asked.elapsed());
                }
            }
            Err(fault) => counted.failed(fault),
        });
        counting.boxed()
    }
}

struct Counted {
    metrics: Metrics,
    tenant: String,
    kind: &'static str,
    /// From the first use on: most tenants use few engines.
    seconds: OnceLock<Histogram>,
}

impl Counted {
    fn took(&self, time: Duration) {
        let seconds = self.seconds.get_or_init(|| {
            let help = "Utterances that were written down (stt) or began to be spoken (tts), questions that began to be answered (chat), by what the engine took.";
            let labels = [("tenant", self.tenant.as_str()), ("engine", self.kind)];
            self.metrics.histogram("patchbay_engine_seconds", help, &labels, BOUNDS_US)
        });
        seconds.observe(time);
    }

    fn failed(&self, fault: &Fault) {
        let help = "Utterances and questions that came to nothing, by the code that the bot was told.";
        let labels = [("tenant", self.tenant.as_str()), ("engine", self.kind), ("code", fault.code.as_str())];
        self.metrics.counter("patchbay_engine_faults_total", help, &labels).add(1);
    }
}

impl SpeechToText for Metered<dyn SpeechToText> {
    fn listen(&self, listen: Listen, heard: mpsc::Receiver<Heard>) -> BoxStream<'static, Told> {
        let counted = Arc::clone(&self.counted);
        let counting = self.engine.listen(listen, heard).inspect(move |told| match &told.what {
            Telling::Partial(_) => {}
            Telling::Final { engine, .. } => counted.took(*engine),
            Telling::Failed(fault) => counted.failed(fault),
        });
        counting.boxed()
    }
}

impl TextToSpeech for Metered<dyn TextToSpeech> {
    fn speak(&self, say: Say) -> BoxStream<'static, Result<Vec<i16>, Fault>> {
        self.answer(self.engine.speak(say))
    }
}

impl LanguageModel for Metered<dyn LanguageModel> {
    fn ask(&self, ask: Ask) -> BoxStream<'static, Result<Chatted, Fault>> {
        self.answer(self.engine.ask(ask))
    }
}

#[cfg(test)]
mod tests {
    use speech::Code;

    use super::*;
    use crate::services::engines::{Engines, Hears};
    use crate::services::scripted::{Hearer, Model, Speaker, next};

    #[tokio::test]
    async fn what_engines_do_is_counted_by_tenant_and_engine_with_its_time_and_its_faults() {
        let ((stt, mut listened), (tts, mut said), (chat, mut asked)) = (Hearer::new(), Speaker::new(), Model::new());
        let hears = Some(Hears { engine: stt, end_of_turn_ms: 600 });
        let engines = Engines { hears, speaks: Some(tts), converses: Some(chat) };
        let metrics = Metrics::default();
        let Engines { hears: Some(hears), speaks: Some(speaks), converses: Some(converses) } =
            engines.metered(&metrics, "acme")
        else {
            panic!("an engine is lost")
        };
        assert!(!metrics.render().contains("patchbay_engine"), "nothing was done yet");
        let broken = || Fault::new(Code::Protocol, "rubbish");

        let (_heard, to_engine) = mpsc::channel(1);
        let mut told = hears.engine.listen(Listen::default(), to_engine);
        let (_, _, telling) = next(&mut listened).await;
        let whole = |ms| Telling::Final { text: "yes".into(), engine: Duration::from_millis(ms) };
        let tellings = [Telling::Partial("y".into()), whole(90), whole(400), Telling::Failed(broken())];
        for (utterance, what) in (0..).zip(tellings) {
            telling.send(Told { utterance, what: what.clone() }).unwrap();
            assert_eq!(told.next().await.unwrap().what, what);
        }

        let mut sound = speaks.speak(Say::default());
        let (_, pieces) = next(&mut said).await;
        for piece in [Ok(vec![1]), Ok(vec![2]), Err(broken())] {
            pieces.send(piece.clone()).unwrap();
            assert_eq!(sound.next().await.unwrap(), piece);
        }

        let _given_up = converses.ask(Ask::default());
        let mut answer = converses.ask(Ask::default());
        let _unanswered = next(&mut asked).await;
        let (_, chatted) = next(&mut asked).await;
        chatted.send(Ok(Chatted::Text("Yes.".into()))).unwrap();
        answer.next().await.unwrap().unwrap();

        let page = metrics.render();
        for line in [
            "patchbay_engine_seconds_bucket{tenant=\"acme\",engine=\"stt\",le=\"0.1\"} 1",
            "patchbay_engine_seconds_sum{tenant=\"acme\",engine=\"stt\"} 0.49",
            "patchbay_engine_seconds_count{tenant=\"acme\",engine=\"stt\"} 2",
            "patchbay_engine_seconds_count{tenant=\"acme\",engine=\"tts\"} 1",
            "patchbay_engine_seconds_count{tenant=\"acme\",engine=\"chat\"} 1",
            "patchbay_engine_faults_total{tenant=\"acme\",engine=\"stt\",code=\"protocol\"} 1",
            "patchbay_engine_faults_total{tenant=\"acme\",engine=\"tts\",code=\"protocol\"} 1",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line}\n{page}");
        }
        assert!(!page.contains("engine=\"chat\",code"), "{page}");
    }
}
