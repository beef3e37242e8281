//! `--live`: the trunk's signalling address. A host of ours plays the trunk, on loopback.

use crate::folder::Folder;

#[test]
fn a_trunk_that_takes_no_connection_or_is_in_no_network_is_named() {
    let folder = Folder::new("live").with_bots();
    let uri = format!("sip:127.0.0.1:{};transport=tcp", folder.ports[2]);
    folder.doctor(&folder.good(), &["--live", &uri]).expect_wrong("trunk sip:127.0.0.1", "no connection");
    let elsewhere = folder.good().replace("127.0.0.0/8", "10.0.0.0/8");
    folder.doctor(&elsewhere, &["--live", &uri]).expect_wrong("trunk sip:127.0.0.1", "is in no trunk's networks");
    folder
        .doctor(&folder.good(), &["--live", "sip:trunk.invalid"])
        .expect_wrong("trunk sip:trunk.invalid", "does not resolve");
    folder.doctor(&folder.good(), &["--live", "trunk"]).expect_wrong("trunk trunk", "is not a SIP URI");
}

#[test]
fn a_trunk_over_tls_is_verified_by_whom_it_is_trusted_by() {
    let mut trunk = Folder::new("tls-trunk").with_bots();
    trunk.certificate("own", &["localhost"], (-1, 90));
    let port = trunk.ports[1];
    let listener = format!(
        "[[listeners]]\nlisten = \"tls://127.0.0.1:{port}\"\ncertificates = [{{ cert = \"own.pem\", key = {{ file = \"own.key\" }} }}]\n[[trunks]]"
    );
    trunk.serve(&trunk.good().replace("[[trunks]]", &listener));
    let folder = Folder::new("tls-live").with_bots();
    let live = ["--live", &format!("sip:127.0.0.1:{port};transport=tls")];
    let stranger = folder.doctor(&folder.good(), &live);
    stranger.expect_wrong("trunk sip:127.0.0.1", "TLS: ");
    let own = trunk.path.join("own.pem");
    let trusted = format!("tls_ca = {own:?}\ntls_server_name = \"localhost\"\n[[routes]]");
    let said = folder.doctor(&folder.good().replace("[[routes]]", &trusted), &live);
    assert_eq!(said.of("wrong"), Vec::<String>::new());
    assert!(said.of("well").iter().any(|line| line.contains("takes a tls connection")), "{:#?}", said.of("well"));
}
