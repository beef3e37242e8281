//! The trunk as a program, beside a host that is set up for it: it serves the API, and for each call that is asked for it plays the
//! customer who answers, calls the host, speaks, hangs up and calls back. Without a request it is a caller to try a host with:
//! `trunk-simulator --sip 127.0.0.1:5070 --called +911234567890 --once`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use trunk::api::{Account, THROTTLE};
use trunk::callback::{Kind, call_back};
use trunk::{Api, Plan, SecondLeg, Spelling, connection, second_leg};

const SETUP_TIME_MAX: Duration = Duration::from_secs(20);
const FRAME: Duration = Duration::from_millis(20);

#[derive(Parser)]
struct Args {
    /// Where the host listens for SIP.
    #[arg(long)]
    sip: SocketAddr,
    /// TLS and SRTP, trusting this authority.
    #[arg(long, value_name = "PEM")]
    tls_ca: Option<PathBuf>,
    /// Where the API is served.
    #[arg(long, default_value = "127.0.0.1:8090")]
    api: SocketAddr,
    #[arg(long, default_value = "patchbay1")]
    account: String,
    #[arg(long, default_value = "key")]
    key: String,
    #[arg(long, default_value = "token")]
    token: String,
    /// One call to this number, and no API.
    #[arg(long, value_name = "NUMBER", requires = "once")]
    called: Option<String>,
    #[arg(long, requires = "called")]
    once: bool,
    /// What the customer takes to answer.
    #[arg(long, default_value_t = 1000)]
    answer_ms: u64,
    /// How long the customer stays.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let tls = args.tls_ca.as_deref().map(connection::trusting).transpose()?;
    let trust = tls.clone();
    let plan = Plan {
        host: args.sip,
        tls,
        called: args.called.clone().unwrap_or_default(),
        customer: "+919999999999".into(),
        call_sid: None,
        spelling: Spelling::PRINTED,
        media: second_leg::MEDIA,
    };
    let stay = Duration::from_secs(args.seconds);
    if args.once {
        return call(plan, stay);
    }
    let account = Account { sid: args.account, key: args.key, token: args.token };
    let api = Api::start(args.api, account, THROTTLE, None)?;
    println!("api {}", api.url);
    loop {
        let asked = Arc::new(api.asked(Duration::MAX)?);
        let field = |name: &str| asked.field(name).unwrap_or_default().to_owned();
        println!("{}: {} is called", asked.sid, field("From"));
        let (customer, called) = (field("From"), field("To"));
        let plan = Plan { customer, called, call_sid: Some(asked.sid.clone()), ..plan.clone() };
        let (ring, trust) = (Duration::from_millis(args.answer_ms), trust.clone());
        thread::spawn(move || {
            thread::sleep(ring);
            let status = match call(plan, stay) {
                Ok(()) => "completed",
                Err(error) => {
                    println!("{}: {error:#}", asked.sid);
                    "failed"
                }
            };
            println!(
                "{}: {status}, told: {:?}",
                asked.sid,
                call_back(&asked, Kind::Multipart, status, trust.as_ref()).ok()
            );
        });
    }
}

/// Calls, listens as long as it is to stay, and hangs up.
fn call(plan: Plan, stay: Duration) -> Result<()> {
    let mut leg = SecondLeg::establish(plan, SETUP_TIME_MAX)?;
    let frames = stay.as_millis() / FRAME.as_millis();
    leg.media.listen(frames as u64, stay * 2 + SETUP_TIME_MAX)?;
    leg.hang_up(SETUP_TIME_MAX)?;
    println!("{} packets of the host in {} s", leg.media.heard, stay.as_secs());
    Ok(())
}
