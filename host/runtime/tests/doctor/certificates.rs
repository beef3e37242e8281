//! Certificates that callers over TLS would not take.

use crate::folder::Folder;

fn tls(folder: &Folder, advertised: &str, key: &str) -> String {
    let listener = format!(
        "[[listeners]]\nlisten = \"tls://127.0.0.1:{}\"\nadvertised = \"{advertised}\"\n\
         certificates = [{{ cert = \"own.pem\", key = {{ file = \"{key}\" }} }}]\n[[trunks]]",
        folder.ports[1]
    );
    folder.good().replace("[[trunks]]", &listener).replace("[rtp]\n", "[rtp]\nadvertised = \"127.0.0.1\"\n")
}

#[test]
fn a_certificate_in_date_for_the_advertised_name_is_well() {
    let folder = Folder::new("in-date").with_bots();
    folder.certificate("own", &["localhost"], (-1, 90));
    let said = folder.doctor(&tls(&folder, "localhost", "own.key"), &[]);
    assert_eq!(said.of("wrong"), Vec::<String>::new());
    assert_eq!(said.of("well").iter().filter(|line| line.starts_with("certificate")).count(), 2);
}

#[test]
fn a_certificate_out_of_date_or_soon_is_named() {
    for (days, why) in [((-90, -2), "has expired"), ((-90, 5), "expires in"), ((2, 90), "is not valid yet")] {
        let folder = Folder::new(&format!("dates{}", days.1)).with_bots();
        folder.certificate("own", &["localhost"], days);
        folder.doctor(&tls(&folder, "localhost", "own.key"), &[]).expect_wrong("certificate tls://127.0.0.1", why);
    }
}

#[test]
fn a_certificate_for_another_name_is_named() {
    let folder = Folder::new("name").with_bots();
    folder.certificate("own", &["sip.example.com"], (-1, 90));
    let said = folder.doctor(&tls(&folder, "localhost", "own.key"), &[]);
    said.expect_wrong("certificate tls://127.0.0.1", "no certificate bears the advertised name `localhost`");
}

#[test]
fn a_key_of_another_certificate_is_named() {
    let folder = Folder::new("key").with_bots();
    folder.certificate("other", &["localhost"], (-1, 90));
    folder.certificate("own", &["localhost"], (-1, 90));
    let wrong = folder.doctor(&tls(&folder, "localhost", "other.key"), &[]).of("wrong");
    assert!(
        wrong.iter().any(|line| line.starts_with("certificate tls://127.0.0.1") && line.contains("other.key")),
        "{wrong:#?}"
    );
}
