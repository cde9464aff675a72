//! Files of page views through the real binary, on the embedded engine and on a Postgres server: the same file gives the same rows
//! on both, or is refused by both and leaves nothing behind.

#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::process::Stdio;
use support::{Folder, Said, fixtures, refused};
use websessions_conformance::Contents;
use websessions_test_servers::Cluster;

const HEADER: &str = "page_view_id,domain_sessionid,domain_userid,page_view_in_session_index,start_tstamp,end_tstamp,engaged_time_in_s,page_title\n";
const TARGETS: [&str; 2] = ["laptop", "server"];

/// What is right.
enum Right {
    /// It is refused, with these words.
    Refused(&'static [&'static str]),
    /// These rows are staged, as CSV with a line of names.
    Staged(&'static str),
    /// These sessions come out.
    Sessions(&'static str),
}
use Right::{Refused, Sessions, Staged};

struct Case {
    file: &'static str,
    content: Vec<u8>,
    options: &'static [&'static str],
    right: Right,
}

fn case(file: &'static str, content: impl Into<Vec<u8>>, right: Right) -> Case {
    Case { file, content: content.into(), options: &[], right }
}

/// A CSV file of these rows.
fn csv(rows: &str) -> String {
    format!("{HEADER}{rows}")
}

fn row(id: &str, rest: &str) -> String {
    format!("{id},s{id},u,1,2024-07-01 10:00:00,2024-07-01 10:01:00,{rest}\n")
}

fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content.as_ref()).expect("gzip");
    encoder.finish().expect("gzip")
}

/// A folder with an embedded target and one on the server.
fn folder(cluster: &Cluster) -> Folder {
    let folder = Folder::new();
    folder.write(
        "websessions.toml",
        &format!(
            "default_target = \"laptop\"\n[target.server]\ntype = \"postgres\"\nurl = {:?}\n[target.laptop]\ntype = \"duckdb\"\n",
            cluster.url()
        ),
    );
    folder
}

fn faults() -> Vec<Case> {
    let both = |id: &str| {
        format!(
            "{{\"page_view_id\":\"{id}\",\"domain_sessionid\":\"s{id}\",\"page_view_in_session_index\":1,\"start_tstamp\":\"2024-07-01\",\"end_tstamp\":\"2024-07-01\""
        )
    };
    let two_members = [gzip(csv(&row("1", "5,a"))), gzip(row("2", "5,b").repeat(50))].concat();
    let mut bad_checksum = two_members.clone();
    let checksum = bad_checksum.len() - 8;
    bad_checksum[checksum] ^= 1;
    let late_quote: String =
        (0..2100).map(|id| row(&id.to_string(), if id == 2060 { "5,\"x" } else { "5,x" })).collect();
    vec![
        // Whole numbers are exact, and the same everywhere.
        case(
            "almost.csv",
            csv(&row("1", "5.0000004,x")),
            Refused(&["row 1, line 2, column engaged_time_in_s", "\"5.0000004\""]),
        ),
        case("whole.csv", csv(&row("1", "5.0,x")), Staged("engaged_time_in_s\n5\n")),
        // Quotes.
        case("inches.csv", csv(&row("1", "5,27.5\" screen")), Refused(&["row 1", "page_title", "quote"])),
        case("blank.csv", csv(&row("1", "5, \"quoted\"")), Refused(&["row 1", "page_title", "quote"])),
        case(
            "quoted.csv",
            csv(&row("1", "5,\"27.5\"\" screen,\n\\.\nor so\"")),
            Staged("page_title\n\"27.5\"\" screen,\n\\.\nor so\"\n"),
        ),
        case("late.csv", csv(&late_quote), Refused(&["row 2061", "never closed"])),
        // A name is a name, in any case.
        case("all*.csv", csv(&row("1", "5,x")), Staged("page_view_id\n1\n")),
        case("day[1].csv", csv(&row("1", "5,right")), Staged("page_title\nright\n")),
        case("VIEWS.CSV.GZ", gzip(csv(&row("1", "5,x"))), Staged("page_view_id\n1\n")),
        // Whole or not at all.
        case("cut.csv.gz", &two_members[..two_members.len() - 20], Refused(&["cut.csv.gz", "ends too early"])),
        case(
            "more.csv.gz",
            [&two_members[..], b"more"].concat(),
            Refused(&["more.csv.gz", "something else follows what is compressed: \"more\""]),
        ),
        case("bad.csv.gz", bad_checksum, Refused(&["bad.csv.gz", "checksum"])),
        case("cut.ndjson", format!("{}}}\n{}", both("1"), &both("2")[..40]), Refused(&["row 2"])),
        case("short.csv", csv("1,s1,u,1\n"), Refused(&["row 1, line 2", "4", "8"])),
        case(
            "marker.csv",
            csv(&format!("{}\\.\n{}", row("1", "5,x"), row("2", "5,x"))),
            Refused(&["row 2, line 3", "\\."]),
        ),
        case(
            "glued.csv",
            csv(&format!("{}{}{}", row("1", "5,x"), HEADER.replace('\n', ",more\n"), row("2", "5,x,y"))),
            Refused(&["row 2, line 3"]),
        ),
        case("nul.csv", csv(&row("1", "5,a\0b")), Refused(&["row 1", "NUL"])),
        case(
            "latin.csv",
            [csv("").as_bytes(), b"1,s1,u,1,2024-07-01,2024-07-01,5,caf\xe9\n"].concat(),
            Refused(&["row 1", "UTF-8"]),
        ),
        case("empty.csv", "", Refused(&["empty.csv", "the file is empty"])),
        // What it is, in place of what it is not.
        case("sixteen.csv", "p\0a\0g\0e\0", Refused(&["sixteen.csv", "UTF-16", "iconv"])),
        case("workbook.csv", "PK\x03\x04", Refused(&["a zip archive", "save it as CSV"])),
        case("download.csv.gz", gzip("<html>502"), Refused(&["HTML or XML", "a page with an error"])),
        case(
            "mac.csv",
            csv(&row("1", "5,x")).replace('\n', "\r"),
            Refused(&["line 1", "carriage return", "tr '\\r' '\\n'"]),
        ),
        // Names with what can't be seen; values keep it.
        case(
            "invisible.csv",
            csv(&row("1", "5,x\u{a0}")).replace("page_title", "\u{200b}page_title\u{a0}"),
            Staged("page_title\nx\u{a0}\n"),
        ),
        // Numbers at the ends of their columns, and beyond.
        case("largest.csv", csv(&row("1", "2147483647,x")), Staged("engaged_time_in_s\n2147483647\n")),
        case(
            "larger.csv",
            csv(&row("1", "2147483648,x")),
            Refused(&["row 1, line 2, column engaged_time_in_s", "\"2147483648\"", "to 2147483647"]),
        ),
        case(
            "names.csv",
            "page_view_id,domain_session_id,page_view_in_session_index,start_tstamp,end_tstamp\n",
            Refused(&["domain_sessionid is missing", "domain_session_id"]),
        ),
        // Timestamps.
        case(
            "infinity.csv",
            csv("1,s1,u,1,2024-07-01 10:00:00,infinity,5,x\n"),
            Refused(&["column end_tstamp", "\"infinity\""]),
        ),
        case("now.csv", csv("1,s1,u,1,now,2024-07-01,5,x\n"), Refused(&["column start_tstamp", "\"now\""])),
        case(
            "epoch.csv",
            csv("1,s1,u,1,1719828000000,2024-07-01,5,x\n"),
            Refused(&["column start_tstamp", "epoch_ms"]),
        ),
        case(
            "seventh.csv",
            csv("1,s1,u,1,2024-07-01 10:00:00,2024-07-01 10:00:59.9999999,5,x\n"),
            Sessions("absolute_time_in_s\n59\n"),
        ),
        case(
            "offsets.csv",
            csv(
                "1,s1,u1,1,2024-10-27 02:30:00+02:00,2024-10-27 02:50:00+02:00,5,a\n2,s1,u2,2,2024-10-27 02:10:00+01:00,2024-10-27 02:20:00+01:00,5,b\n",
            ),
            Sessions(
                "start_tstamp,end_tstamp,page_views,absolute_time_in_s,last_page_title\n2024-10-27 00:30:00,2024-10-27 01:20:00,2,3000,b\n",
            ),
        ),
        case(
            "offsets.ndjson",
            "{\"page_view_id\": \"p1\", \"domain_sessionid\": \"s1\", \"page_view_in_session_index\": 1, \"start_tstamp\": \"2024-07-01T10:00:00+02:00\", \"end_tstamp\": \"2024-07-01T10:05:00-07:00\"}\n",
            Sessions("start_tstamp,end_tstamp\n2024-07-01 08:00:00,2024-07-01 17:05:00\n"),
        ),
        // Keys of JSON in any case, but not twice.
        case(
            "keys.ndjson",
            format!("{},\"User_Id\":\"A\"}}\n{},\"user_id\":\"B\"}}\n", both("1"), both("2")),
            Staged("user_id\nA\nB\n"),
        ),
        case(
            "twice.ndjson",
            format!("{},\"User_Id\":\"A\",\"user_id\":\"B\"}}\n", both("1")),
            Refused(&["row 1", "User_Id", "user_id"]),
        ),
        case("array.json.gz", gzip(format!("[{}}}, {}}}]", both("1"), both("2"))), Staged("page_view_id\n1\n2\n")),
        // Only blanks are padding.
        case(
            "spaces.csv",
            csv(
                "pa\u{a0},s1,u,1,2024-07-01 10:00:00,2024-07-01 10:01:00,5,a\npa,s1,u,2,2024-07-01 10:02:00,2024-07-01 10:03:00,5,b\n",
            ),
            Sessions("page_views,last_page_title\n2,b\n"),
        ),
        // What is asked for.
        case(
            "bom.csv",
            format!("\u{feff}{}", csv(&row("1", "5,x")).replace('\n', "\r\n")),
            Staged("page_view_id,page_title\n1,x\n"),
        ),
        Case {
            options: &["--delimiter", ";", "--null", "\\N"],
            ..case(
                "semicolons.csv",
                csv(&row("1", "\\N,x")).replace(',', ";"),
                Staged("engaged_time_in_s,page_title\n,x\n"),
            )
        },
        Case {
            options: &[
                "--header",
                "page_view_id,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp",
                "--time-format",
                "epoch_ms",
            ],
            ..case(
                "headless.csv",
                "1,s1,1,1719828000123,1719828001000\n",
                Staged("start_tstamp\n2024-07-01 10:00:00.123\n"),
            )
        },
        Case {
            options: &["--time-zone", "Europe/Berlin"],
            ..case("berlin.csv", csv(&row("1", "5,x")), Staged("start_tstamp\n2024-07-01 08:00:00\n"))
        },
    ]
}

/// The columns of the expected rows, as a table has them.
fn expect(contents: &Contents, expected: &str, what: &str) {
    let expected = Contents::parse(expected);
    for column in &expected.columns {
        assert_eq!(contents.column(column), expected.column(column), "{what}: {column}");
    }
}

#[test]
fn the_same_file_gives_the_same_rows_or_the_same_refusal() {
    let cluster = Cluster::start("").expect("a server");
    let folder = folder(&cluster);
    for name in ["all2.csv", "day1.csv"] {
        folder.write(name, &csv(&row("other", "5,wrong")));
    }
    for (number, Case { file, content, options, right }) in faults().into_iter().enumerate() {
        std::fs::write(folder.path().join(file), content).expect("a file");
        let entropy = format!("entropy=_{number}");
        let run = |target: &str, command: &[&str]| -> Said {
            let place = ["--target", target, "--var", &entropy];
            folder.run(&place.iter().chain(command).chain(options).copied().collect::<Vec<_>>())
        };
        let mut tables = Vec::new();
        for target in TARGETS {
            let place = ["--target", target, "--var", &entropy];
            let what = format!("{file} on {target}");
            let table = match right {
                Refused(words) => {
                    let said = run(target, &["load", file]);
                    refused(&said, 1, words);
                    assert!(said.stderr.contains("nothing was loaded"), "{what}: {}", said.stderr);
                    refused(&run(target, &["run", "--page-views", file]), 1, words);
                    assert!(folder.contents("page_views_staged", &place).is_err(), "{what} left a table behind");
                    continue;
                }
                Staged(expected) => {
                    run(target, &["load", file]).done(&what).expect("loaded");
                    let staged = folder.contents("page_views_staged", &place).expect("page views");
                    expect(&staged, expected, &what);
                    staged
                }
                Sessions(expected) => {
                    run(target, &["run", "--page-views", file]).done(&what).expect("a run");
                    let sessions = folder.contents("sessions", &place).expect("sessions");
                    expect(&sessions, expected, &what);
                    sessions
                }
            };
            tables.push(table);
        }
        if let [laptop, server] = tables.as_slice() {
            server.expect(laptop, file).expect("the same on both");
        }
    }
    every_kind_of_file_gives_the_same_page_views(&folder);
    rows_are_left_out_only_on_request(&folder);
    what_is_taken_deliberately(&folder);
    a_broken_file_undoes_the_good_one_before_it(&folder);
}

/// Every column of the sample, by way of each kind of file.
fn every_kind_of_file_gives_the_same_page_views(folder: &Folder) {
    let sample = fixtures().join("page_views.csv.gz").to_string_lossy().into_owned();
    let place = |target: &str, kind: &str| {
        ["--target".to_owned(), target.to_owned(), "--var".to_owned(), format!("entropy=_kind_{kind}")]
    };
    let load = |target: &str, kind: &str, file: &str| {
        let place = place(target, kind);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        folder.run(&[place.as_slice(), &["load", file]].concat()).done(file).expect("loaded");
        folder.contents("page_views_staged", &place).expect("page views")
    };
    let expected = load("laptop", "sample", &sample);
    assert_eq!(expected.rows.len(), 1043);
    for kind in ["csv", "parquet", "ndjson"] {
        let file = format!("sample.{kind}");
        folder
            .run(&["--var", "entropy=_kind_sample", "export", "page_views_staged", "--to", &file])
            .done("export")
            .expect("exported");
        for target in TARGETS {
            load(target, kind, &file).expect(&expected, kind).expect("the same page views");
        }
    }
}

fn rows_are_left_out_only_on_request(folder: &Folder) {
    folder
        .write("wrong.csv", &csv(&format!("{}{}{}{}", row("1", "5,x"), row("2", "five,x"), "3,s3\n", row("4", "5,x"))));
    for target in TARGETS {
        let place = ["--target", target, "--var", "entropy=_rejects"];
        let run = |command: &[&str]| folder.run(&[place.as_slice(), command].concat());
        refused(&run(&["load", "wrong.csv"]), 1, &["row 2", "\"five\"", "--max-bad-rows"]);
        refused(&run(&["load", "wrong.csv", "--max-bad-rows", "1"]), 1, &["row 3", "more than 1"]);
        let said = run(&["-q", "load", "wrong.csv", "--max-bad-rows", "2", "--rejects", "rejects.csv"]);
        let said = said.done("load").expect("the others are loaded");
        assert!(said.stderr.contains("wrong.csv: 2 wrong rows left out; see rejects.csv"), "{}", said.stderr);
        let staged = folder.contents("page_views_staged", &place).expect("page views");
        assert_eq!(staged.column("page_view_id"), vec![Some("1".to_owned()), Some("4".to_owned())]);
        let rejects =
            Contents::parse(&std::fs::read_to_string(folder.path().join("rejects.csv")).expect("the rejects"));
        assert_eq!(rejects.column("row"), vec![Some("2".to_owned()), Some("3".to_owned())]);
        assert_eq!(
            rejects.column("text"),
            vec![Some(row("2", "five,x").trim_end().to_owned()), Some("3,s3".to_owned())]
        );
        let said = run(&["--output", "json", "run", "--page-views", "wrong.csv", "--max-bad-rows", "2"]);
        let report: serde_json::Value = serde_json::from_str(&said.done("run").expect("a run").stdout).expect("JSON");
        assert_eq!((&report["rows_left_out"], &report["loaded"][0]["rows"]), (&2.into(), &2.into()));
    }
    let wrong = std::fs::read(folder.path().join("wrong.csv")).expect("a file");
    for name in ["wrong.csv", "websessions.duckdb"] {
        let said = folder.run(&["load", "wrong.csv", "--max-bad-rows", "2", "--rejects", name]);
        refused(&said, 1, &["something else in it", "name another file after --rejects"]);
    }
    assert_eq!(std::fs::read(folder.path().join("wrong.csv")).expect("a file"), wrong);
    folder.contents("page_views_staged", &["--var", "entropy=_rejects"]).expect("the database is as it was");
    for (options, words) in [
        (["--rejects", "-"], "--rejects names a file"),
        (["--null", ","], "no word for NULL"),
        (["--null", "\n"], "no word for NULL"),
    ] {
        let said = folder.run(&[&["load", "wrong.csv", "--max-bad-rows", "2"], &options[..]].concat());
        refused(&said, 2, &[words]);
        assert!(!folder.path().join("-").exists());
    }
    // In the folder that is read, for a command that is repeated.
    std::fs::create_dir(folder.path().join("mixed")).expect("a folder");
    folder.write("mixed/wrong.csv", &csv(&format!("{}3,s3\n", row("1", "5,x"))));
    for _ in 0..2 {
        for files in ["mixed", "mixed/*.csv"] {
            let options = ["--max-bad-rows", "1", "--rejects", "mixed/rejects.csv"];
            folder.run(&[&["load", files], &options[..]].concat()).done(files).expect("one file is read");
        }
    }
    std::fs::remove_file(folder.path().join("mixed/wrong.csv")).expect("removed");
    let said = folder.run(&["load", "mixed", "--max-bad-rows", "1", "--rejects", "mixed/rejects.csv"]);
    refused(&said, 2, &["--rejects names the one file that is to be read"]);
}

/// A folder, a quoted pattern and standard input.
fn what_is_taken_deliberately(folder: &Folder) {
    std::fs::create_dir_all(folder.path().join("days/deep")).expect("a folder");
    for (name, id) in [("1.csv", "a"), ("2.csv", "b"), ("_temporary.csv", "no"), ("deep/3.csv", "no")] {
        folder.write(&format!("days/{name}"), &csv(&row(id, "5,x")));
    }
    folder.write("days/readme.txt", "");
    for target in TARGETS {
        let staged = |entropy: &str, command: &[&str], input: &str| {
            let place = ["--target", target, "--var", entropy];
            let mut child = folder
                .command(&[place.as_slice(), command].concat())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it starts");
            child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
            let said: Said = child.wait_with_output().expect("it ends").into();
            let said = said.done(entropy).expect("loaded");
            let staged = folder.contents("page_views_staged", &place).expect("page views").column("page_view_id");
            (staged.into_iter().flatten().collect::<Vec<_>>().join(" "), said.stderr)
        };
        let (found, warned) = staged("entropy=_folder", &["load", "days"], "");
        assert_eq!(found, "a b");
        assert!(warned.contains("readme.txt was left out") && warned.contains("deep was left out"), "{warned}");
        assert!(!warned.contains("_temporary"), "{warned}");
        assert_eq!(staged("entropy=_pattern", &["load", "days/[2-9]*.csv"], "").0, "b");
        assert_eq!(staged("entropy=_input", &["load", "-"], &csv(&row("c", "5,x"))).0, "c");
        let pipe = folder.path().join("pipe.csv");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        let writing = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::write(pipe, csv(&row("d", "5,x")))
        });
        assert_eq!(staged("entropy=_pipe", &["load", "pipe.csv"], "").0, "d");
        writing.join().expect("a thread").expect("all of it was read");
        std::fs::remove_file(pipe).expect("removed");
        // One file by two names, and what can't be looked at.
        let path = |name: &str| folder.path().join(name);
        std::fs::hard_link(path("days/1.csv"), path("again.csv")).expect("a link");
        std::os::unix::fs::symlink("gone", path("days/3.csv")).expect("a link");
        for (files, words) in [
            (["days/1.csv", "again.csv"], ["again.csv", "the same file as days/1.csv"]),
            (["days", "again.csv"], ["days/3.csv", "it is a link"]),
        ] {
            let said = folder.run(&[&["--target", target, "--var", "entropy=_refused", "load"], &files[..]].concat());
            refused(&said, 1, &[words[0], words[1], "nothing was loaded"]);
        }
        std::fs::remove_file(path("again.csv")).expect("removed");
        std::fs::remove_file(path("days/3.csv")).expect("removed");
        let (_, told) = staged("entropy=_told", &["--log-format", "json", "load", "days/1.csv"], "");
        let size = csv(&row("a", "5,x")).len();
        let loading = format!("\"event\":\"loading\",\"file\":\"days/1.csv\",\"bytes\":{size},\"total\":{size}");
        assert!(told.contains(&loading), "{told}");
    }
}

fn a_broken_file_undoes_the_good_one_before_it(folder: &Folder) {
    let many: String = (0..20_000).map(|id| row(&id.to_string(), "5,x")).collect();
    folder.write("good.csv", &csv(&many));
    folder.write("late.csv", &csv(&format!("{many}20001,s\n")));
    for target in TARGETS {
        let place = ["--target", target, "--var", "entropy=_undone"];
        let run = |command: &[&str]| folder.run(&[place.as_slice(), command].concat());
        run(&["load", "all2.csv"]).done("load").expect("loaded");
        refused(&run(&["load", "good.csv", "late.csv"]), 1, &["late.csv: row 20001"]);
        let staged = folder.contents("page_views_staged", &place).expect("page views");
        assert_eq!(staged.column("page_view_id"), vec![Some("other".to_owned())]);
    }
}
