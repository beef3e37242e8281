#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::sdp::fuzzing::fuzz_sdp(data));
