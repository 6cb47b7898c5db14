//! Event logs of other programs.

use serde_json::json;

use super::reading::{Read, read};
use super::support::shared_data;

fn xes(bytes: impl AsRef<[u8]>) -> Read {
    read("a.xes", bytes, json!({"xes": {}}))
}

fn event(time: &str) -> String {
    format!(
        "<event><string key=\"concept:name\" value=\"A\"/><date key=\"time:timestamp\" value=\"{time}\"/></event>"
    )
}

#[test]
fn times_without_a_zone_are_the_sites_and_unreadable_ones_are_set_aside() {
    let times = ["2026-11-27 08:00:00", "2026/11/27T08:00:00", "2026-11-27T08:00", "2026-11-27", "UNKNOWN"];
    let events: String = times.iter().map(|t| event(t)).collect();
    let read =
        xes(format!("<log><trace><string key=\"concept:name\" value=\"c1\"/>{events}<event/></trace></log>"));
    assert_eq!(read.error, None);
    let stamps: Vec<&str> = read.rows.iter().map(|r| r[2].as_str()).collect();
    let eight = "2026-11-27T00:00:00Z";
    assert_eq!(stamps, [eight, eight, eight, "2026-11-26T16:00:00Z", "∅"]);
    assert_eq!(read.rejected.len(), 1);
    let (row, reason, text) = &read.rejected[0];
    assert!(*row == 5 && reason.contains("`UNKNOWN` is no time") && text.contains("c1"), "{reason} {text}");
    assert!(read.warnings.iter().any(|w| w.contains("4 times have no zone") && w.contains("Asia/Shanghai")));
    assert!(
        read.warnings.iter().any(|w| w.contains("1 events have no time:timestamp")),
        "{:?}",
        read.warnings
    );
}

#[test]
fn the_declared_encoding_is_honoured() {
    let log = |encoding: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"{encoding}\"?><log><trace><string key=\"concept:name\" value=\"报销单\"/>{}</trace></log>",
            event("2026-11-27T08:00:00Z")
        )
    };
    let wide: Vec<u8> =
        std::iter::once(0xFEFF).chain(log("UTF-16").encode_utf16()).flat_map(u16::to_be_bytes).collect();
    let cases = [
        encoding_rs::GB18030.encode(&log("GB18030")).0.into_owned(),
        encoding_rs::GB18030.encode(&log("gb2312")).0.into_owned(),
        encoding_rs::BIG5.encode(&log("Big5").replace("报销单", "報銷單")).0.into_owned(),
        log("UTF-8").into_bytes(),
        wide,
    ];
    for bytes in cases {
        let read = xes(&bytes);
        assert_eq!(read.error, None);
        assert!(["报销单", "報銷單"].contains(&read.rows[0][0].as_str()), "{:?}", read.rows);
    }
    let wrong = encoding_rs::GB18030.encode(&log("UTF-8")).0.into_owned();
    let error = xes(wrong).error.unwrap();
    assert!(error.contains("UTF-8") && error.contains("byte"), "{error}");
}

#[test]
fn other_xml_is_refused_by_name() {
    for (text, words) in [
        ("<log><global scope=\"log\"/><events><event/></events><objects/></log>", "object-centric"),
        ("<log><object-types/></log>", "object-centric"),
        ("<WorkflowLog/>", "<WorkflowLog>"),
    ] {
        let error = xes(text).error.unwrap();
        assert!(error.contains(words), "{error}");
    }
    assert!(xes("<log></log>").warnings[0].contains("no event"));
    if let Some(folder) = shared_data("eventlogs/ocel") {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains("xml") {
                let error = super::reading::read_path(
                    &entry.path(),
                    &name,
                    &super::reading::format(json!({"xes": {}})),
                )
                .error;
                assert!(error.clone().unwrap_or_default().contains("object-centric"), "{name}: {error:?}");
            }
        }
    }
}

#[test]
fn what_is_left_out_of_a_log_is_said() {
    let read = xes(
        "<log><trace><list key=\"l\"><values><string key=\"a\" value=\"1\"/></values></list><event><string key=\"x\" value=\"1\"><int key=\"deep\" value=\"2\"/></string><string key=\"x\" value=\"2\"/></event></trace></log>",
    );
    assert_eq!(read.error, None);
    assert!(read.warnings.iter().any(|w| w.contains("inside other attributes")), "{:?}", read.warnings);
    assert_eq!(read.changed("event_x").map(|c| c.first.as_str()), Some("event 1: 1"));
}

#[test]
fn a_case_larger_than_memory_goes_on_in_parts() {
    let value = "x".repeat(100_000);
    let mut log = String::from("<log><trace><string key=\"concept:name\" value=\"big\"/>");
    for _ in 0..400 {
        log.push_str(&format!("<event><string key=\"v\" value=\"{value}\"/></event>"));
    }
    let whole = xes(format!("{log}</trace></log>"));
    assert_eq!((whole.rows.len(), whole.error), (400, None));
    assert!(whole.rows.iter().all(|r| r[0] == "big"));
    let late = xes(format!("{log}<string key=\"late\" value=\"1\"/></trace></log>"));
    assert!(late.error.unwrap().contains("record_bytes"));
}
