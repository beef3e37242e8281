//! What the compiling child gives back, and how it ends when it does not.

use crate::bots::{ECHO, Source, component_of};
use crate::stage::{Folder, bomb, compiler, compiler_as, echo, engine, error_of, numbered};
use plugin::{CompileError, CompileLimits, Compiler, Digest, LoadError};
use std::time::{Duration, Instant};

pub fn a_bot_compiled_in_the_child_is_the_bot_compiled_here() {
    let compiled = compiler().compile("echo", echo()).unwrap();
    assert_eq!(compiled.warnings, Vec::<String>::new());
    let plugin = engine().load_artefact("echo", &compiled.made).unwrap();
    assert_eq!(plugin.digest(), engine().load("echo", echo()).unwrap().digest());
    assert_eq!(plugin.digest(), Digest::of(echo()).to_string());
    assert_eq!(plugin.try_out(), Ok(()));
}

pub fn what_cannot_be_a_bot_is_refused_in_the_words_of_the_engine() {
    let http = Source { imports: r#"(import "wasi:http/outgoing-handler@0.2.3" "handle" (func))"#, ..ECHO };
    let damaged = echo().iter().enumerate().map(|(at, byte)| if at == 40 { !byte } else { *byte });
    let cases = [
        http.component(),
        component_of("package a:b; world w { export run: func(); }", r#"(module (func (export "run")))"#),
        echo()[..echo().len() - 5].to_vec(),
        damaged.collect(),
    ];
    for bytes in cases {
        let here = engine().load("greeter", &bytes).err().expect("is refused").to_string();
        let there = error_of(&compiler(), &bytes);
        assert!(there.is_refusal(), "{there:?}");
        // The reader of names may stumble before the compiler does, and say so in other words.
        let cannot = "greeter: cannot be compiled: ";
        assert!(
            there.to_string() == here || (here.starts_with(cannot) && there.to_string().starts_with(cannot)),
            "{there}, not {here}"
        );
    }
}

/// The program of these does not exist: whoever started it would fail.
fn without_child() -> Compiler {
    Compiler::new(engine(), "/nowhere/patchbay".into(), Vec::new(), CompileLimits::default())
}

pub fn a_component_over_the_size_limit_starts_no_child() {
    let bytes = vec![0; engine().limits().component_bytes + 1];
    let error = error_of(&without_child(), &bytes);
    assert!(matches!(error, CompileError::Load(LoadError::TooBig { .. })), "{error:?}");
}

pub fn compiled_code_is_refused_by_name() {
    let error = error_of(&without_child(), b"\x7fELF\x02\x01\x01\xc8");
    let line = "greeter: not a component but compiled code (.cwasm): upload the component that it was made from";
    assert_eq!(error.to_string(), line);
    assert!(error.is_refusal());
}

pub fn types_that_do_not_fit_are_seen_when_the_code_is_loaded() {
    let wit = "package patchbay:bot@0.1.0; interface bot { save: func(); } world w { export bot; }";
    let lacks = component_of(wit, r#"(module (func (export "patchbay:bot/bot@0.1.0#save")))"#);
    let folder = Folder::new();
    let cache = folder.cache(&engine());
    let error = compiler().load(&cache, "greeter", &lacks, crate::stage::at(0)).err().expect("does not fit");
    assert!(error.to_string().starts_with("greeter: export does not fit the contract: "), "{error}");
    assert_eq!(folder.entries().len(), 0);
}

pub fn a_function_that_compiles_for_ever_ends_at_its_processor_time() {
    let limits = CompileLimits { cpu_seconds: 1, ..CompileLimits::default() };
    let bytes = bomb(1500, 700);
    let error = error_of(&compiler_as("compile", limits), &bytes);
    assert_eq!(error.to_string(), "greeter: compiling took more than 1 s");
    assert!(error.is_refusal());
    the_next_is_compiled();
}

pub fn a_function_that_compiles_into_all_memory_ends_at_its_limit() {
    let limits = CompileLimits { memory_bytes: 256 << 20, ..CompileLimits::default() };
    let bytes = bomb(4000, 1500);
    let error = error_of(&compiler_as("compile", limits), &bytes);
    assert_eq!(error.to_string(), "greeter: compiling needed more than 256 MiB");
    assert!(error.is_refusal());
    the_next_is_compiled();
}

fn the_next_is_compiled() {
    assert!(compiler().compile("echo", echo()).is_ok());
}

/// The error of a child in this role, and how long it took.
fn ends(role: &str, limits: CompileLimits) -> (CompileError, Duration) {
    let began = Instant::now();
    // More than a pipe holds, so that a child that does not read is seen to block nobody for ever.
    let mut bytes = echo().to_vec();
    bytes.resize(1 << 20, 0);
    (error_of(&compiler_as(role, limits), &bytes), began.elapsed())
}

pub fn a_child_that_never_answers_is_killed_at_the_deadline() {
    let wall = Duration::from_secs(1);
    let (error, took) = ends("silent", CompileLimits { wall, ..CompileLimits::default() });
    assert_eq!(error.to_string(), "greeter: not compiled within 1 s, because the host was busy: try again later");
    assert!(!error.is_refusal());
    assert!(took >= wall && took < 30 * wall, "{took:?}");
}

pub fn a_child_that_closes_its_pipes_and_stays_is_killed_at_once() {
    let (error, took) = ends("closes", CompileLimits::default());
    assert!(matches!(error, CompileError::Failed { .. }), "{error:?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
}

pub fn a_child_that_writes_without_end_is_cut_off() {
    let (error, took) = ends("floods", CompileLimits { artefact_bytes: 1 << 20, ..CompileLimits::default() });
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(error.to_string(), "greeter: compiled it is larger than 1 MiB");
}

pub fn a_child_that_crashes_is_the_hosts_failure() {
    let (error, _) = ends("crashes", CompileLimits::default());
    assert!(
        error.to_string().starts_with("greeter: the host could not compile it: the compiler ended with signal: 6"),
        "{error}"
    );
    assert!(!error.is_refusal());
}

/// As after an update of the file on the disk: the child's engine is not the host's.
pub fn an_executable_that_was_replaced_compiles_nothing() {
    let program = std::env::current_exe().unwrap();
    let order = ["child", "compile", "greeter", &"0".repeat(64), "16777216", "33554432", "5", "1073741824"];
    let ended = std::process::Command::new(program).args(order).output().unwrap();
    assert_eq!(ended.status.code(), Some(70));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(said.trim_end(), "the executable is not the one that the host runs: restart the host");
}

pub fn two_uploads_at_once_are_compiled_one_after_the_other() {
    let folder = Folder::new();
    let compiler = alone_in(&folder, CompileLimits::default());
    std::thread::scope(|scope| {
        let uploads: Vec<_> = (0..4).map(|number| (number, &compiler)).collect();
        let uploads = uploads.into_iter().map(|(n, compiler)| scope.spawn(move || error_of(compiler, &numbered(n))));
        for upload in uploads.collect::<Vec<_>>() {
            assert_eq!(upload.join().unwrap(), CompileError::Refused("alone".to_owned()));
        }
    });
}

pub fn a_full_queue_says_so() {
    let folder = Folder::new();
    let compiler = alone_in(&folder, CompileLimits { waiting: 1, ..CompileLimits::default() });
    let errors: Vec<CompileError> = std::thread::scope(|scope| {
        let uploads: Vec<_> = (0..4).map(|_| scope.spawn(|| error_of(&compiler, echo()))).collect();
        uploads.into_iter().map(|upload| upload.join().unwrap()).collect()
    });
    let busy = CompileError::Busy { name: "greeter".to_owned(), waiting: 1 };
    let turned_away = errors.iter().filter(|error| **error == busy).count();
    assert!((1..=2).contains(&turned_away), "{errors:?}");
    assert_eq!(error_of(&compiler, echo()), CompileError::Refused("alone".to_owned()), "once they are done");
}

fn alone_in(folder: &Folder, limits: CompileLimits) -> Compiler {
    let args = vec!["child".into(), "alone".into(), folder.path().into()];
    Compiler::new(engine(), std::env::current_exe().unwrap(), args, limits)
}
