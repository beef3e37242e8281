//! New builds of a bot: the same component with one custom section more, which means nothing to whoever runs it and changes its digest.

/// Source: the component model's binary format, custom sections: id 0, size, name.
pub fn numbered(component: &[u8], number: u32) -> Vec<u8> {
    let name = format!("build {number}");
    with_section(component, &name, 0)
}

/// At least so long, its code the same.
pub fn at_least(component: &[u8], bytes: usize, number: u32) -> Vec<u8> {
    let name = format!("build {number}");
    with_section(component, &name, bytes.saturating_sub(component.len()))
}

fn with_section(component: &[u8], name: &str, filling: usize) -> Vec<u8> {
    let mut body = leb128(name.len());
    body.extend(name.as_bytes());
    body.resize(body.len() + filling, 0);
    [component, &[0], &leb128(body.len()), &body].concat()
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_its_size_its_name_and_its_filling() {
        assert_eq!(numbered(b"x", 1), b"x\x00\x08\x07build 1");
        let padded = at_least(&[1; 100], 400, 1);
        assert_eq!(padded.len(), 400 + 1 + 2 + 8);
        assert_eq!(padded[100..103], [0, 0x80 | ((308 & 0x7f) as u8), (308 >> 7) as u8]);
    }
}
