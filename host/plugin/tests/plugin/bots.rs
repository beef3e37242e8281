//! Test bots: a bot that behaves, in WebAssembly text, with places where a test puts other code.
//!
//! Layout of its memory: results at 16, a silent frame at 1024, texts of a test at 2048, results of imports at 3072, what the host hands over from 4096 on
//! (given back at the end of each export).

use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// Where a test's own `data` may lie, and where imports may write results.
pub const TEXT: u32 = 2048;
pub const RESULT: u32 = 3072;

/// A bot's core module in parts: each a piece of WebAssembly text.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// `(import ...)`
    pub imports: &'a str,
    /// Globals, data, further functions.
    pub items: &'a str,
    /// Run at the beginning of each export.
    pub start: &'a str,
    pub on_frame: &'a str,
    pub on_event: &'a str,
    pub save: &'a str,
    /// Pages of memory to begin with.
    pub pages: u32,
    /// Pairs whose handlers `items` export.
    pub handlers: &'a [&'a str],
}

/// Takes every call, wants frames, answers each with the caller's own sound, saves the word "state".
pub const ECHO: Source<'static> =
    Source { imports: "", items: "", start: "", on_frame: "", on_event: "", save: "", pages: 1, handlers: &[] };

/// The flattened parameters of `start`: five strings, one more, and a variant with a list.
const START_PARAMS: &str = "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32";

impl Source<'_> {
    fn text(&self) -> String {
        let Self { imports, items, start, on_frame, on_event, save, pages, .. } = self;
        format!(
            r#"(module
            {imports}
            (memory (export "memory") {pages})
            (global $heap (mut i32) (i32.const 4096))
            (data (i32.const 8) "state")
            {items}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                (global.set $heap (i32.add (local.get $at) (local.get 3)))
                (block $fits
                    (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
                    (drop (memory.grow (i32.const 16))))
                (local.get $at))
            (func $return (param $result i32) (result i32)
                (global.set $heap (i32.const 4096))
                (local.get $result))
            (func (export "patchbay:bot/bot@0.1.0#start") (param {START_PARAMS}) (result i32)
                (i32.store (i32.const 16) (i32.const 0))
                (i32.store (i32.const 20) (i32.const 0))
                {start}
                (call $return (i32.const 16)))
            (func (export "patchbay:bot/bot@0.1.0#on-frame")
                (param $tick i64) (param $samples i32) (param $count i32) (param $kind i32) (result i32)
                (i32.store (i32.const 16) (i32.const 1))
                (i32.store (i32.const 20) (local.get $samples))
                (i32.store (i32.const 24) (local.get $count))
                {on_frame}
                (call $return (i32.const 16)))
            (func (export "patchbay:bot/bot@0.1.0#on-event")
                (param $case i32) (param $a i64) (param $b i64) (param $c i32) (param $d i32)
                {on_event}
                (drop (call $return (i32.const 16))))
            (func (export "patchbay:bot/bot@0.1.0#save") (result i32)
                (i32.store (i32.const 16) (i32.const 1))
                (i32.store (i32.const 20) (i32.const 8))
                (i32.store (i32.const 24) (i32.const 5))
                {save}
                (call $return (i32.const 16))))"#
        )
    }

    pub fn component(&self) -> Vec<u8> {
        let (resolve, world) = world(self.handlers);
        wrap(&self.text(), &resolve, world)
    }
}

fn wrap(text: &str, resolve: &Resolve, world: WorldId) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default().module(&module).and_then(|encoder| encoder.validate(true).encode()).expect("encodes")
}

/// The world of the test bots: the contract, WASI, some that no bot is given, and the handlers of these pairs.
fn world(handlers: &[&str]) -> (Resolve, WorldId) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut resolve = Resolve::default();
    resolve.push_path(here.join("../../wit/0.1.0")).expect("the contract");
    // The tests of other crates make such bots too.
    let (package, _) = resolve.push_path(here.join("../plugin/tests/plugin/wasi.wit")).expect("the test world");
    if handlers.is_empty() {
        let world = resolve.select_world(&[package], Some("with-wasi")).expect("its world");
        return (resolve, world);
    }
    let exports: String = handlers.iter().map(|pair| format!("export patchbay:bot/{pair}-handler@0.1.0;")).collect();
    let text = format!("package test:handlers; world handles {{ include test:bots/with-wasi; {exports} }}");
    let package = resolve.push_str("handles.wit", &text).expect("parses");
    let world = resolve.select_world(&[package], None).expect("its world");
    (resolve, world)
}

/// A component of a world of a test's own making, without regard to the contract.
pub fn component_of(wit: &str, core: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("own.wit", wit).expect("parses");
    let world = resolve.select_world(&[package], None).expect("has one world");
    wrap(core, &resolve, world)
}
