//! Arguments of a tool filled into a URL or a body, where `{name}` stands. Whatever the model wrote stays one value in its place: it
//! reaches no other host, no other path, and adds no field.

use serde_json::{Map, Value};

pub type Arguments = Map<String, Value>;

/// Every `{name}` of a text; a brace without its fellow is text.
pub fn names(template: &str) -> Vec<&str> {
    pieces(template).into_iter().filter_map(|(_, name)| name).collect()
}

/// Checks that nothing is filled in before the path of a URL.
pub fn check_url(url: &str) -> Result<(), String> {
    let Some((scheme @ ("https" | "http"), rest)) = url.split_once("://") else {
        return Err("its url must begin with https:// or http://".to_owned());
    };
    let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if host.is_empty() || host.contains(['{', '}', '@']) {
        return Err(format!("the host of its url, {scheme}://{host}, must be written out"));
    }
    Ok(())
}

/// Percent-encodes every argument. Errors: one that is missing, or would be another path.
pub fn url(template: &str, arguments: &Arguments) -> Result<String, String> {
    let mut url = String::new();
    for (text, name) in pieces(template) {
        url.push_str(text);
        let Some(name) = name else { continue };
        let value = plain(value_of(name, arguments)?);
        // `..` is a step up even if it is percent-encoded, and nothing at all joins two slashes.
        if !url.contains('?') && value.chars().all(|c| c == '.') {
            return Err(format!("the argument {name} must not be {value:?}"));
        }
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
                _ => url.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    Ok(url)
}

/// Text in, text out.
pub fn text(template: &str, value: impl Fn(&str) -> String) -> String {
    pieces(template).into_iter().map(|(text, name)| text.to_owned() + &name.map(&value).unwrap_or_default()).collect()
}

/// A string that is one `{name}` alone becomes the argument as it is; within a longer string it becomes text.
pub fn body(template: &Value, arguments: &Arguments) -> Result<Value, String> {
    Ok(match template {
        Value::String(text) => match pieces(text)[..] {
            [("", Some(name)), ("", None)] => value_of(name, arguments)?.clone(),
            ref pieces => {
                let mut filled = String::new();
                for (text, name) in pieces {
                    filled.push_str(text);
                    if let Some(name) = name {
                        filled.push_str(&plain(value_of(name, arguments)?));
                    }
                }
                Value::String(filled)
            }
        },
        Value::Array(items) => Value::Array(items.iter().map(|item| body(item, arguments)).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            let filled = fields.iter().map(|(name, value)| Ok((name.clone(), body(value, arguments)?)));
            Value::Object(filled.collect::<Result<_, String>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => template.clone(),
    })
}

/// Texts, each with the name that follows it.
fn pieces(template: &str) -> Vec<(&str, Option<&str>)> {
    let mut pieces = Vec::new();
    let (mut rest, mut from) = (template, 0);
    while let Some(open) = rest[from..].find('{').map(|at| from + at) {
        let name = rest[open + 1..].find('}').map(|end| &rest[open + 1..open + 1 + end]);
        match name.filter(|name| is_name(name)) {
            Some(name) => {
                pieces.push((&rest[..open], Some(name)));
                (rest, from) = (&rest[open + 2 + name.len()..], 0);
            }
            None => from = open + 1,
        }
    }
    pieces.push((rest, None));
    pieces
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

fn value_of<'a>(name: &str, arguments: &'a Arguments) -> Result<&'a Value, String> {
    arguments.get(name).filter(|value| !value.is_null()).ok_or_else(|| format!("the argument {name} is missing"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(json: &str) -> Arguments {
        serde_json::from_str(json).expect("an object")
    }

    #[test]
    fn an_argument_stays_in_its_place_in_a_url() {
        let template = "https://api.example.com/orders/{id}/lines?note={note}&{x}";
        // The arguments, then the URL's end, or what the error says.
        let cases = [
            (r#"{"id":"A 1","note":"a&b=c","x":1}"#, Ok("A%201/lines?note=a%26b%3Dc&1")),
            (r#"{"id":"../../admin","note":"","x":""}"#, Ok("..%2F..%2Fadmin/lines?note=&")),
            (r##"{"id":"1?q#f","note":"..","x":true}"##, Ok("1%3Fq%23f/lines?note=..&true")),
            (r#"{"id":"{{secret:key}}","note":"ü","x":0}"#, Ok("%7B%7Bsecret%3Akey%7D%7D/lines?note=%C3%BC&0")),
            (r#"{"id":"..","note":"","x":0}"#, Err("must not be \"..\"")),
            (r#"{"id":".","note":"","x":0}"#, Err("must not be")),
            (r#"{"id":"","note":"","x":0}"#, Err("must not be")),
            (r#"{"id":"1","note":null,"x":0}"#, Err("note is missing")),
            (r#"{"id":"1","note":""}"#, Err("x is missing")),
        ];
        for (given, expected) in cases {
            match (url(template, &arguments(given)), expected) {
                (Ok(url), Ok(end)) => assert_eq!(url, format!("https://api.example.com/orders/{end}"), "{given}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{given}: {error}"),
                (found, _) => panic!("{given}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_body_keeps_its_shape_whatever_is_filled_in() {
        let template =
            serde_json::json!({"to": "{to}", "n": "{n}", "text": "Hi {to}, {not a name}", "list": ["{n}", 1, null]});
        let filled = body(&template, &arguments(r#"{"to":"\",\"admin\":\"true","n":[1,2]}"#));
        let expected = serde_json::json!({
            "to": "\",\"admin\":\"true", "n": [1, 2], "text": "Hi \",\"admin\":\"true, {not a name}", "list": [[1, 2], 1, null]
        });
        assert_eq!(filled, Ok(expected));
        assert!(body(&template, &arguments("{}")).is_err_and(|error| error.contains("missing")));
    }

    #[test]
    fn a_host_is_never_filled_in() {
        for (url, is_right) in [
            ("https://example.com/{a}", true),
            ("https://example.com?{a}", true),
            ("http://10.0.0.1:8080/", true),
            ("https://{a}/", false),
            ("https://example.com{a}/", false),
            ("https://example.com{a}", false),
            ("https://user@example.com/", false),
            ("https:///a", false),
            ("ftp://example.com/", false),
            ("{a}", false),
        ] {
            assert_eq!(check_url(url).is_ok(), is_right, "{url}");
        }
    }
}
