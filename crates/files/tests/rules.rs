//! What a file of page views may look like, and what is made of it: the same for every kind of file.
//! Each rule is a test.

mod support;

use std::io::Write;
use support::{Folder, REQUIRED, fields, gzip, read, read_bytes, read_with, zstd};
use websessions_files::{Error, Fault, LONGEST_ROW, ReadOptions, Reader, Rejects, Source, Sources, TimeFormat};

const HEADER: &str = "page_view_id,domain_sessionid,start_tstamp,engaged_time_in_s,page_title\n";
const ROW: &str = "page_view_id=\"p1\" domain_sessionid=\"s1\" start_tstamp=@1719828000000000";

fn csv(rows: &str) -> String {
    format!("{HEADER}{rows}")
}

fn rows(name: &str, content: impl AsRef<[u8]>) -> Vec<String> {
    read_bytes(name, content).unwrap_or_else(|error| panic!("{error} ({:?})", error.hint)).rows
}

fn refused(name: &str, content: impl AsRef<[u8]>) -> Error {
    match read_bytes(name, content) {
        Err(error) => error,
        Ok(table) => panic!("taken: {table:?}"),
    }
}

#[track_caller]
fn assert_says(error: &Error, place: (Option<u64>, Option<u64>, Option<&str>), words: &str) {
    let whole = format!("{error} {}", error.hint.clone().unwrap_or_default());
    assert!(whole.contains(words), "{whole:?} does not say {words:?}");
    assert_eq!((error.row, error.line, error.column.as_deref()), place, "{error:?}");
}

#[test]
fn every_kind_of_file_gives_the_same_rows() {
    let csv = csv("p1,s1,2024-07-01 10:00:00,5,title\n");
    let ndjson = r#"{"page_view_id":"p1","domain_sessionid":"s1","start_tstamp":"2024-07-01T10:00:00Z","engaged_time_in_s":5.0,"page_title":"title"}"#;
    let array = format!(" [\n{ndjson}\n] ");
    let expected = vec![format!("{ROW} engaged_time_in_s=5 page_title=\"title\"")];
    for (name, content) in [
        ("a.csv", csv.clone().into_bytes()),
        ("A.CSV", csv.clone().into_bytes()),
        ("a", csv.clone().into_bytes()),
        ("a.csv.gz", gzip(&csv)),
        ("A.CSV.GZ", gzip(&csv)),
        ("gzip inside.csv", gzip(&csv)),
        ("a.csv.zst", zstd(&csv)),
        ("two.csv.gz", [gzip(HEADER), gzip(&csv[HEADER.len()..])].concat()),
        ("a.ndjson", ndjson.as_bytes().to_vec()),
        ("a.jsonl", format!("\r\n{ndjson}\r\n\n").into_bytes()),
        ("a.JSON.gz", gzip(ndjson)),
        ("json inside.csv", ndjson.as_bytes().to_vec()),
        ("array.json", array.clone().into_bytes()),
        ("array.ndjson.zst", zstd(&array)),
        ("mark.csv", [b"\xef\xbb\xbf", csv.as_bytes()].concat()),
        ("mark.json", [b"\xef\xbb\xbf", ndjson.as_bytes()].concat()),
        ("lines.csv", csv.replace('\n', "\r\n").into_bytes()),
        ("no last line end.csv", csv.trim_end().as_bytes().to_vec()),
        ("empty lines at the end.csv", format!("{csv}\r\n\n").into_bytes()),
    ] {
        assert_eq!(rows(name, content), expected, "{name}");
    }
}

#[test]
fn a_column_may_begin_as_a_binary_file_does() {
    let expected = rows("a.csv", csv("p1,s1,2024-07-01 10:00:00,5,title\n"));
    for other in ["PARENT_ID", "ORC", "BZh9", "FEA1", "LZIP", "%PDF", "ARROW1"] {
        let content = format!("{other},{HEADER}é,p1,s1,2024-07-01 10:00:00,5,title\n");
        assert_eq!(rows("a.csv", content), expected, "{other}");
    }
}

#[test]
fn a_name_that_contradicts_the_content_is_refused() {
    let csv = csv("p1,s1,2024-07-01 10:00:00,5,title\n");
    for (name, content, words) in [
        ("a.csv.gz", csv.as_bytes().to_vec(), "ends in .gz"),
        ("a.csv.zst", gzip(&csv), "ends in .zst"),
        ("a.parquet", csv.as_bytes().to_vec(), "no Parquet file"),
        ("a.ndjson", csv.as_bytes().to_vec(), "no JSON"),
        ("a.csv.gz", gzip(gzip(&csv)), "compressed twice"),
        ("a.csv", b"PK\x03\x04xxxx".to_vec(), "a zip archive"),
        ("a.csv.gz", b"BZh91AY&SY\0\x9c".to_vec(), "a file that bzip2 compressed is not read"),
        ("a.csv.gz", b"\xfd7zXZ\0\0".to_vec(), "a file that xz compressed"),
        ("a.csv", b"\x04\x22\x4d\x18".to_vec(), "a file that lz4 compressed"),
        ("a.tar.gz", gzip([&[b'a'; 257][..], b"ustar\0"].concat()), "a tar archive"),
        ("a.csv", b"SQLite format 3\0".to_vec(), "a database of SQLite"),
        ("a.csv", b"PGCOPY\n\xff\r\n\0".to_vec(), "a binary COPY of Postgres"),
        ("a.csv", b"<!DOCTYPE html>".to_vec(), "HTML or XML"),
        ("a.ndjson.gz", gzip("\n<Error/>"), "HTML or XML"),
        ("a.csv", b"p\0a\0g\0".to_vec(), "UTF-16"),
        ("a.json", b"\0{\0}".to_vec(), "UTF-16"),
        ("a.csv", b"\xff\xfep\0a\0".to_vec(), "UTF-16"),
        ("a.csv", b"\xff\xfe\0\0p\0\0\0".to_vec(), "UTF-32"),
        ("a.csv", Vec::new(), "the file is empty"),
        ("a.csv", b"\n\n".to_vec(), "nothing is in the file"),
        ("a.csv", b"\xef\xbb\xbf".to_vec(), "nothing is in the file"),
        ("a.csv.gz", gzip(""), "nothing is in the file"),
    ] {
        let error = refused(name, content);
        assert_eq!(error.fault, Fault::Format, "{error:?}");
        assert_says(&error, (None, None, None), words);
        assert!(error.hint.is_some(), "{error:?}");
    }
}

#[test]
fn a_file_is_read_whole_or_refused() {
    let text = csv(
        "p1,s1,2024-07-01 10:00:00,5,title\np2,s2,2024-07-01 10:00:00,5,\"never closed\np3,s3,2024-07-01 10:00:00,5,x\n",
    );
    assert_says(&refused("a.csv", text), (Some(2), Some(3), Some("page_title")), "never closed");
    let cut = csv("p1,s1,2024-07-01 10:00:00,5,title\np2,s2,2024-07");
    assert_says(&refused("a.csv", cut), (Some(2), Some(3), None), "ends within a row");
    let mut wrong = gzip(csv("p1,s1,2024-07-01 10:00:00,5,title\n"));
    let checksum = wrong.len() - 8;
    wrong[checksum] ^= 1;
    assert_says(&refused("a.csv.gz", &wrong), (None, None, None), "damaged");
    assert_says(&refused("a.csv.gz", &wrong[..wrong.len() - 3]), (None, None, None), "cut off");
    let trailing = [gzip(csv("p1,s1,2024-07-01,5,x\n")), b"garbage".to_vec()].concat();
    assert_eq!(refused("a.csv.gz", trailing).fault, Fault::Damaged);
    assert_says(&refused("a.json", "[{\"page_view_id\":\"p1\"}] []"), (Some(2), Some(1), None), "glued together");
    assert_says(
        &refused("a.ndjson", "{\"page_view_id\":\"p1\"}\n{\"page_vi"),
        (Some(2), Some(2), None),
        "the last row, without a line end, is not an object of JSON at character 9: EOF",
    );
    assert_says(&refused("a.csv", csv("p1,s1,2024-07-01,5,x\n\\.")), (Some(2), Some(3), None), "COPY of Postgres");
}

#[test]
fn damage_is_never_left_out() {
    let folder = Folder::new();
    let row = "p1,s1,2024-07-01 10:00:00,5,title\n";
    let compressed = gzip(csv(row));
    for (name, content) in [
        ("open quote.csv", csv("p1,s1,2024-07-01,5,\"open\n").into_bytes()),
        ("text after a quote of two lines.csv", csv("p1,s1,2024-07-01,5,\"two\nlines\"x\n").into_bytes()),
        ("second header.csv", csv(&format!("{row}{HEADER}{row}")).into_bytes()),
        ("cut.csv", csv("p1,s1").into_bytes()),
        ("cut.csv.gz", compressed[..compressed.len() - 1].to_vec()),
        ("cut.ndjson", b"{\"page_view_id\":".to_vec()),
        ("cut.json", b"[{\"page_view_id\":\"p1\"},".to_vec()),
        ("syntax.json", b"[{\"page_view_id\":\"p1\"},{]}]".to_vec()),
        ("cut.parquet", b"PAR1xxxxPAR1".to_vec()),
    ] {
        let rejects = Rejects::new(100, None).expect("rejects");
        let outcome = read_with(&folder.write(name, content), &ReadOptions::default(), rejects);
        assert!(outcome.as_ref().is_err_and(|error| error.fault == Fault::Damaged), "{name}: {outcome:?}");
    }
}

#[test]
fn a_row_has_as_many_values_as_there_are_columns() {
    let more = refused("a.csv", csv("p1,s1,2024-07-01,5,a, b\n"));
    assert_says(&more, (Some(1), Some(2), None), "6 values, the columns are 5");
    assert_says(
        &refused("a.csv", csv("p1,s1,2024-07-01,5\np2,s,2024-07-01,5,x\n")),
        (Some(1), Some(2), None),
        "4 values",
    );
    assert_says(&refused("a.csv", csv("\np1,s1,2024-07-01,5,x\n")), (Some(1), Some(2), None), "the line is empty");
    assert_says(&refused("a.csv", format!("\n{}", csv(""))), (None, Some(1), None), "the first line is empty");
    let end_marker = refused("a.csv", csv("p1,s1,2024-07-01,5,x\n\\.\np2,s1,2024-07-01,5,x\n"));
    assert_says(&end_marker, (Some(2), Some(3), None), "COPY of Postgres");
}

#[test]
fn a_second_line_of_names_is_refused() {
    let row = "p1,s1,2024-07-01 10:00:00,5,title\n";
    for second in [
        HEADER.to_owned(),
        HEADER.to_uppercase(),
        "page_title,engaged_time_in_s,start_tstamp,domain_sessionid,page_view_id\n".to_owned(),
        HEADER.replace('\n', ",category\n"),
        // Other columns, as many as in the first file, or fewer.
        "page_view_id,domain_sessionid,start_tstamp,user_id,category\n".to_owned(),
        "domain_sessionid,page_view_id,start_tstamp\n".to_owned(),
    ] {
        let error = refused("a.csv", csv(&format!("{row}{row}{second}{row}")));
        assert_says(&error, (Some(3), Some(4), None), "second line of column names");
    }
    let headed =
        ReadOptions { header: Some(HEADER.trim().split(',').map(str::to_owned).collect()), ..ReadOptions::default() };
    let folder = Folder::new();
    let error =
        read_with(&folder.write("a.csv", csv(row)), &headed, Rejects::none()).expect_err("a header in the file");
    assert_says(&error, (Some(1), Some(1), None), "second line of column names");
    let without = read_with(&folder.write("b.csv", row), &headed, Rejects::none()).map(|table| table.rows.len());
    assert_eq!(without, Ok(1));
}

/// What `cat` makes of files: the second one's columns may be others.
#[test]
fn files_that_were_glued_together_are_refused() {
    let row = |id: &str| format!("{id},s1,2024-07-01 10:00:00,5,title\n");
    for glued in [
        format!("\u{feff}{}\u{feff}{}", csv(&row("p1")), csv(&row("p2"))),
        format!("\u{feff}{}\u{feff}{}", csv(&row("p1")), row("p2")),
    ] {
        let error = refused("a.csv", glued);
        assert_eq!(error.fault, Fault::Damaged);
        assert_says(&error, (Some(2), Some(3), None), "a byte order mark, with which a file begins");
    }
    let object = "{\"page_view_id\":\"p1\",\"domain_sessionid\":\"s1\",\"start_tstamp\":\"2024-07-01\"}\n";
    let marked = refused("a.ndjson", format!("\u{feff}{object}\u{feff}{object}"));
    assert_eq!(marked.fault, Fault::Damaged);
    assert_says(&marked, (Some(2), Some(2), None), "a byte order mark, with which a file begins");
    let two = [gzip(csv(&row("p1"))), gzip(csv(&row("p2")))].concat();
    assert_says(&refused("a.csv.gz", two), (Some(2), Some(3), None), "second line of column names");
}

#[test]
fn frames_of_zstd_are_read_one_after_another() {
    let (first, second) = (csv("p1,s1,2024-07-01 10:00:00,,\n"), "p2,s2,2024-07-01 10:00:00,,\n");
    // What a parallel compressor writes before each frame: its size, in a frame to be skipped.
    let skipped = b"\x50\x2a\x4d\x18\x04\0\0\0\x2a\0\0\0".to_vec();
    let content = [skipped.clone(), zstd(&first), skipped, zstd(second)].concat();
    assert_eq!(rows("a.csv.zst", &content).len(), 2);
    assert_eq!(rows("a.csv", &content).len(), 2);
    for length in [content.len() - 1, content.len() - 20] {
        assert_eq!(refused("a.csv.zst", &content[..length]).fault, Fault::Damaged);
    }
    assert_eq!(refused("a.csv.zst", [content, b"garbage".to_vec()].concat()).fault, Fault::Damaged);
}

#[test]
fn quotes_open_a_value_or_are_refused() {
    let taken = rows("a.csv", csv("\"p1\",s1,2024-07-01 10:00:00,\"5\",\"a, \"\"b\"\"\r\n\\.\n\"\n"));
    assert_eq!(taken, vec![format!("{ROW} engaged_time_in_s=5 page_title={:?}", "a, \"b\"\r\n\\.\n")]);
    for title in ["27.5\" screen", " \"quoted, after a blank\"", "\"a\"b", "\"a\" ", "a\""] {
        let error = refused("a.csv", csv(&format!("p1,s1,2024-07-01,5,{title}\n")));
        assert_says(&error, (Some(1), Some(2), Some("page_title")), "the quote twice");
    }
}

#[test]
fn nothing_is_null_and_two_quotes_are_no_text() {
    let table = rows("a.csv", csv("p1,s1,2024-07-01 10:00:00,,\"\"\n"));
    assert_eq!(table, vec![format!("{ROW} page_title=\"\"")]);
    assert_says(
        &refused("a.csv", csv("p1,s1,2024-07-01,\"\",x\n")),
        (Some(1), Some(2), Some("engaged_time_in_s")),
        "\"\" is not a whole number",
    );
    assert_says(
        &refused("a.csv", csv(",s1,2024-07-01,5,x\n")),
        (Some(1), Some(2), Some("page_view_id")),
        "must have one",
    );
    assert_says(
        &refused("a.ndjson", "{\"page_view_id\":null}\n"),
        (Some(1), Some(1), Some("page_view_id")),
        "must have one",
    );
    let folder = Folder::new();
    let options = ReadOptions { null: "\\N".to_owned(), ..ReadOptions::default() };
    let path = folder.write("null.csv", csv("p1,s1,2024-07-01 10:00:00,\\N,\n"));
    assert_eq!(
        read_with(&path, &options, Rejects::none()).map(|table| table.rows),
        Ok(vec![format!("{ROW} page_title=\"\"")])
    );
}

#[test]
fn a_delimiter_is_named() {
    let folder = Folder::new();
    let path = folder.write("a.csv", csv("p1,s1,2024-07-01 10:00:00,5,\"a;b\"\n").replace(',', ";"));
    assert_says(&read(&path).expect_err("another delimiter"), (None, None, None), "--delimiter ';'");
    let options = ReadOptions { delimiter: b';', ..ReadOptions::default() };
    let table = read_with(&path, &options, Rejects::none()).expect("right");
    assert_eq!(table.rows, vec![format!("{ROW} engaged_time_in_s=5 page_title=\"a;b\"")]);
    assert_eq!(websessions_files::delimiter("\\t"), Ok(b'\t'));
    for wrong in ["", ",,", "ä", "\"", "\n"] {
        assert!(websessions_files::delimiter(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn columns_are_found_by_name_whatever_the_case() {
    let table =
        read_bytes("a.csv", "Extra,PAGE_VIEW_ID,Domain_SessionId,start_tstamp,,\nx,p1,s1,2024-07-01 10:00:00,,\n")
            .expect("right");
    assert_eq!(table.rows, vec![ROW.to_owned()]);
    assert_eq!(table.columns.found, ["page_view_id", "domain_sessionid", "start_tstamp"]);
    assert_eq!(table.columns.ignored, ["Extra", "", ""]);
    assert_eq!(table.columns.missing.len(), fields().len() - 3);
    let twice = refused("a.csv", "page_view_id,domain_sessionid,start_tstamp,user_id,User_Id\n");
    assert_says(&twice, (None, None, None), "\"user_id\" and \"User_Id\" are the same");
    assert_says(
        &refused("a.csv", "page_view_id,domain_sessionid,start_tstamp,x,x\n"),
        (None, None, None),
        "\"x\" stands twice",
    );
    let missing = refused("a.csv", "page_view_id,domain_session_id,start_tstamp\n");
    assert_says(
        &missing,
        (None, None, None),
        "domain_sessionid is missing; the columns are \"page_view_id\", \"start_tstamp\", \"domain_session_id\"",
    );
    assert_says(&missing, (None, None, None), "the file has \"domain_session_id\"");
    assert_says(&refused("a.csv", "p1,s1,2024-07-01\n"), (None, None, None), "--header");
}

/// What can't be seen around a name is no part of it; in a value of text it is one.
#[test]
fn what_is_invisible_around_a_name_is_no_part_of_it() {
    for invisible in [" ", "\t", "\u{a0}", "\u{200b}", "\u{feff}", "\u{3000}", "\u{ad}"] {
        let name = format!("{invisible}User_Id{invisible}");
        let value = format!("{invisible}u{invisible}");
        let expected = vec![format!("{ROW} user_id={value:?}")];
        let header = format!("page_view_id,domain_sessionid,start_tstamp,{name}\n");
        assert_eq!(rows("a.csv", format!("{header}p1,s1,2024-07-01 10:00:00,{value}\n")), expected, "{invisible:?}");
        let row = serde_json::json!({
            "page_view_id": "p1", "domain_sessionid": "s1", "start_tstamp": "2024-07-01 10:00:00", &name: value,
        });
        assert_eq!(rows("a.ndjson", row.to_string()), expected, "{invisible:?}");
        let twice = refused("a.csv", header.replace('\n', ",user_id\n"));
        assert_says(&twice, (None, None, None), "are the same");
    }
    let folder = Folder::new();
    let names = ["page_view_id", " domain_sessionid", "start_tstamp "].map(str::to_owned).to_vec();
    let headed = ReadOptions { header: Some(names), ..ReadOptions::default() };
    let path = folder.write("a.csv", "p1,s1,2024-07-01 10:00:00\n");
    assert_eq!(read_with(&path, &headed, Rejects::none()).map(|table| table.rows), Ok(vec![ROW.to_owned()]));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let folder = Folder::new();
    let row = "p1,s1,2024-07-01 10:00:00,5,title\n";
    let text = csv(row);
    let with = |name: &str, change: &dyn Fn(&std::path::Path)| {
        let path = folder.write(name, &text);
        let mut reader = Reader::open(&Source::File(path.clone()), &fields(), &REQUIRED, &ReadOptions::default())?;
        assert_eq!(reader.next_batch(&mut Rejects::none())?.map(|batch| batch.len()), Some(1));
        change(&path);
        reader.next_batch(&mut Rejects::none()).map(|batch| assert!(batch.is_none()))
    };
    let append = |path: &std::path::Path| std::fs::write(path, csv(&row.repeat(2))).expect("written");
    let error = with("grows.csv", &append).expect_err("it has grown");
    assert_eq!(error.fault, Fault::Damaged);
    assert_says(
        &error,
        (None, None, None),
        &format!("it had {} bytes, and has {}", text.len(), text.len() + row.len()),
    );
    let cut = |path: &std::path::Path| std::fs::write(path, HEADER).expect("written");
    assert!(with("shrinks.csv", &cut).is_err_and(|error| error.message.contains("written to while it was read")));
    let touch = |path: &std::path::Path| {
        let file = std::fs::File::options().append(true).open(path).expect("a file");
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("set");
    };
    assert!(with("written.csv", &touch).is_err_and(|error| error.message.contains("written to while it was read")));
    // Another file under its name is not what is read.
    assert_eq!(with("goes.csv", &|path| std::fs::remove_file(path).expect("removed")), Ok(()));
}

#[test]
fn a_word_for_null_can_be_a_value() {
    for (word, delimiter) in [("\\N", b','), ("NULL", b','), ("", b','), (",", b';'), (" ", b',')] {
        assert_eq!(websessions_files::null(word, delimiter), Ok(()), "{word:?}");
    }
    for (word, delimiter) in [(",", b','), ("a;b", b';'), ("\"", b','), ("\"\"", b','), ("\n", b','), ("\0", b',')] {
        assert!(websessions_files::null(word, delimiter).is_err_and(|message| message.contains("no word for NULL")));
        let folder = Folder::new();
        let options = ReadOptions { null: word.to_owned(), delimiter, ..ReadOptions::default() };
        let error = read_with(&folder.write("a.csv", HEADER), &options, Rejects::none()).expect_err("no word");
        assert_eq!(error.fault, Fault::Usage);
    }
}

#[test]
fn a_word_that_other_programs_write_for_null_is_said_to_be_one() {
    for word in ["\\N", "NULL", "NaN", "None", "n/a"] {
        for (row, column) in [("p1,s1,2024-07-01,{},t\n", "engaged_time_in_s"), ("p1,s1,{},5,t\n", "start_tstamp")] {
            let error = refused("a.csv", csv(&row.replace("{}", word)));
            assert_says(&error, (Some(1), Some(2), Some(column)), &format!("--null '{word}'"));
        }
        let quoted = refused("a.csv", csv(&format!("p1,s1,2024-07-01,\"{word}\",t\n")));
        assert!(quoted.hint.is_none_or(|hint| !hint.contains("--null")), "a quoted word is never NULL");
    }
}

#[test]
fn a_note_to_excel_is_no_line_of_names() {
    for (delimiter, note) in [(',', "sep=,\n"), (';', "sep=;\r\n"), (';', "\"sep=;\"\n"), ('\t', "sep=\t\n")] {
        let content = format!("{note}{}", csv("p1,s1,2024-07-01,5,t\n").replace(',', &delimiter.to_string()));
        assert_says(&refused("a.csv", content), (None, None, None), "the first line is a note to Excel");
    }
}

#[test]
fn a_compression_that_is_not_read_is_named() {
    // Frames with a number of a dictionary, and with a window of 256 MiB.
    let dictionary = b"\x28\xb5\x2f\xfd\x21\x07\x05\x29\x00\x00hello";
    let window = b"\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00";
    for (content, words) in [(&dictionary[..], "compressed with a dictionary"), (&window[..], "more than 128 MiB")] {
        let error = refused("a.csv.zst", content);
        assert_eq!(error.fault, Fault::Format, "{error:?}");
        assert_says(&error, (None, None, None), words);
    }
    let padded = [gzip(csv("p1,s1,2024-07-01,5,x\n")), vec![0; 512]].concat();
    assert_says(&refused("a.csv.gz", padded), (None, None, None), "something else follows what is compressed");
}

#[test]
fn keys_of_json_are_found_by_name_whatever_the_case() {
    let row = |more: &str| {
        format!(
            "{{\"page_view_id\":\"p1\",\"domain_sessionid\":\"s1\",\"start_tstamp\":\"2024-07-01T10:00:00\"{more}}}\n"
        )
    };
    let text = format!("{}{}", row(",\"User_Id\":\"A\",\"extra\":[]"), row(",\"user_id\":\"B\""));
    let table = read_bytes("a.ndjson", text).expect("right");
    assert_eq!(table.rows, [format!("{ROW} user_id=\"A\""), format!("{ROW} user_id=\"B\"")]);
    assert_eq!(table.columns.ignored, ["extra"]);
    assert_eq!(table.columns.found, ["page_view_id", "domain_sessionid", "start_tstamp", "user_id"]);
    for more in
        [",\"user_id\":\"A\",\"User_Id\":\"B\"", ",\"user_id\":null,\"USER_ID\":null", ",\"user_id\":1,\"user_id\":1"]
    {
        let error = refused("a.ndjson", format!("{}{}", row(""), row(more)));
        assert_says(&error, (Some(2), Some(2), Some("user_id")), "are the same");
    }
    let missing =
        refused("a.ndjson", "{\"page_view_id\":\"p1\",\"domainSessionId\":\"s1\",\"start_tstamp\":\"2024-07-01\"}");
    assert_says(&missing, (None, None, None), "the file has \"domainSessionId\"");
    assert_eq!(rows("a.json", "[]"), Vec::<String>::new());
}

#[test]
fn nested_values_are_text_or_refused() {
    let row = |more: &str| {
        format!(
            "{{\"page_view_id\":\"p1\",\"domain_sessionid\":\"s1\",\"start_tstamp\":\"2024-07-01T10:00:00\",{more}}}\n"
        )
    };
    assert_eq!(
        rows("a.ndjson", row("\"category\":{\"a\": [1.50]}")),
        [format!("{ROW} category={:?}", "{\"a\": [1.50]}")]
    );
    assert_eq!(
        rows("a.ndjson", row("\"category\":1.50,\"user_id\":true")),
        [format!("{ROW} user_id=\"true\" category=\"1.50\"")]
    );
    let error = refused("a.ndjson", row("\"engaged_time_in_s\":[5]"));
    assert_says(&error, (Some(1), Some(1), Some("engaged_time_in_s")), "\"[5]\" is not a whole number");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let latin = [HEADER.as_bytes(), b"p1,s1,2024-07-01,5,x\np2,s1,2024-07-01,5,caf\xe9\n"].concat();
    assert_says(&refused("a.csv", latin), (Some(2), Some(3), Some("page_title")), "not UTF-8");
    assert_says(&refused("a.csv", csv("p1,s1,2024-07-01,5,a\0b\n")), (Some(1), Some(2), Some("page_title")), "NUL");
    assert_says(
        &refused("a.csv", csv("p1,s1,2024-07-01,5,a\rb\n")),
        (Some(1), Some(2), Some("page_title")),
        "carriage return",
    );
    for text in [csv("p1,s1,2024-07-01,5,x\n").replace('\n', "\r"), "\"page_view_id\"\r\"p1\"\r".to_owned()] {
        let error = refused("a.csv", text);
        assert_eq!(error.fault, Fault::Columns);
        assert_says(&error, (None, Some(1), None), "a carriage return that ends no line");
        assert!(error.hint.is_some_and(|hint| hint.contains("tr '\\r' '\\n'")));
    }
    let infinite = "{\"page_view_id\":\"p1\",\"geo_latitude\":NaN}\n";
    assert_says(
        &refused("a.ndjson", infinite),
        (Some(1), Some(1), None),
        "at character 37, at \"NaN}\": expected value",
    );
    let escape = "{\"page_view_id\":\"p1\",\"other\":\"\\ud800\"}\n";
    assert_says(&refused("a.ndjson", escape), (Some(1), Some(1), Some("other")), "an escape is no character");
    let json = "{\"page_view_id\":\"p\\u0000\"}\n";
    assert_says(&refused("a.ndjson", json), (Some(1), Some(1), Some("page_view_id")), "NUL");
    let latin = b"{\"page_view_id\":\"caf\xe9\"}\n";
    assert_says(&refused("a.ndjson", latin), (Some(1), Some(1), None), "not UTF-8");
}

#[test]
fn values_fit_their_columns() {
    for (value, words) in [
        ("5.0000004", "\"5.0000004\" is not a whole number"),
        ("2147483648", "\"2147483648\" is not a whole number from -2147483648 to 2147483647"),
        ("five", "\"five\" is not a whole number"),
    ] {
        let error = refused("a.csv", csv(&format!("p1,s1,2024-07-01,{value},x\n")));
        assert_says(&error, (Some(1), Some(2), Some("engaged_time_in_s")), words);
        let json = format!("{{\"page_view_id\":\"p\",\"engaged_time_in_s\":\"{value}\"}}\n");
        assert_says(&refused("a.ndjson", json), (Some(1), Some(1), Some("engaged_time_in_s")), words);
    }
    let long = csv("p1,s1,2024-07-01,5,a title of 21 letters\n");
    assert_says(&refused("a.csv", long), (Some(1), Some(2), Some("page_title")), "21 characters, the column takes 20");
    assert_says(
        &refused("a.csv", csv("p1,s1,infinity,5,x\n")),
        (Some(1), Some(2), Some("start_tstamp")),
        "\"infinity\" is not a timestamp",
    );
    let value = "x".repeat(5000);
    let error = refused("a.csv", csv(&format!("p1,s1,2024-07-01,{value},x\n")));
    assert!(error.to_string().len() < 400, "a value is shortened: {error}");
}

#[test]
fn times_are_read_as_asked() {
    let folder = Folder::new();
    let json = folder
        .write("a.ndjson", "{\"page_view_id\":\"p1\",\"domain_sessionid\":\"s1\",\"start_tstamp\":1719828000000}\n");
    assert_says(
        &read(&json).expect_err("a number"),
        (Some(1), Some(1), Some("start_tstamp")),
        "--time-format epoch_ms",
    );
    let asked = ReadOptions { time_format: TimeFormat::EpochMilliseconds, ..ReadOptions::default() };
    assert_eq!(read_with(&json, &asked, Rejects::none()).map(|table| table.rows), Ok(vec![ROW.to_owned()]));
    let seconds = ReadOptions { time_format: TimeFormat::EpochSeconds, ..ReadOptions::default() };
    let other = read_with(&json, &seconds, Rejects::none()).expect_err("milliseconds");
    assert_says(&other, (Some(1), Some(1), Some("start_tstamp")), "likely one of --time-format epoch_ms");
    let local = ReadOptions { time_zone: Some("Europe/Berlin".to_owned()), ..ReadOptions::default() };
    let path = folder.write("a.csv", csv("p1,s1,2024-07-01 12:00:00,,\n"));
    assert_eq!(read_with(&path, &local, Rejects::none()).map(|table| table.rows), Ok(vec![ROW.to_owned()]));
}

#[test]
fn wrong_rows_are_left_out_on_request() {
    let folder = Folder::new();
    let text = csv(
        "p1,s1,2024-07-01 10:00:00,5,a\np2,s2,soon,5,b\np3,s3,2024-07-01 10:00:00,x,\"c, \"\"d\"\"\"\np4,s4,2024-07-01 10:00:00,5,27\" x\np5,s5\np6,s6,2024-07-01 10:00:00,5,e\n",
    );
    let path = folder.write("a.csv", text);
    let file = folder.path("rejects.csv");
    let rejects = |most| Rejects::new(most, Some(&file)).expect("rejects");
    let table = read_with(&path, &ReadOptions::default(), rejects(4)).expect("four rows are left out");
    assert_eq!((table.rows.len(), table.rejected), (2, 4));
    let written = std::fs::read_to_string(&file).expect("rejected rows").replace(&path.display().to_string(), "a.csv");
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines.len(), 5, "{written}");
    assert_eq!(lines[0], "file,row,line,column,reason,text");
    assert!(lines[1].starts_with("\"a.csv\",2,3,\"start_tstamp\",\"\"\"soon\"\" is not a timestamp"), "{written}");
    assert!(lines[1].ends_with(",\"p2,s2,soon,5,b\""), "{written}");
    assert!(lines[2].ends_with("\"p3,s3,2024-07-01 10:00:00,x,\"\"c, \"\"\"\"d\"\"\"\"\"\"\""), "{written}");
    let error = read_with(&path, &ReadOptions::default(), rejects(3)).expect_err("one too many");
    assert_eq!(error.fault, Fault::TooManyBadRows);
    assert_says(&error, (Some(5), Some(6), None), "more than 3 wrong rows");
    assert_says(
        &read(&path).expect_err("none may be wrong"),
        (Some(2), Some(3), Some("start_tstamp")),
        "--max-bad-rows",
    );
    // Whatever stands under the name, unless it is such a file, is left alone.
    let before = std::fs::read(&path).expect("a file");
    let (hard, soft) = (folder.path("hard.csv"), folder.path("soft.csv"));
    std::fs::hard_link(&path, &hard).expect("a link");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&path, &soft).expect("a link");
    for name in [&path, &hard, &soft, &folder.write("database", "x")] {
        let refused = Rejects::new(1, Some(name)).map(|_| ()).expect_err("it has something else in it");
        assert!(refused.fault == Fault::Usage && refused.message.contains("something else"), "{refused:?}");
    }
    assert_eq!(std::fs::read(&path).expect("a file"), before);
    assert!(Rejects::new(1, Some(&folder.write("empty", ""))).is_ok());
    // A stream can be written to, and has no disk.
    #[cfg(unix)]
    {
        let rejects = Rejects::new(4, Some(std::path::Path::new("/dev/null"))).expect("a stream");
        let table = read_with(&path, &ReadOptions::default(), rejects).expect("four rows are left out");
        assert_eq!((table.rows.len(), table.rejected), (2, 4));
    }
}

#[test]
fn memory_is_bounded_whatever_a_file_unpacks_to() {
    let bomb = |before: &str, after: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(before.as_bytes()).expect("gzip");
        let chunk = vec![b'a'; 1 << 20];
        for _ in 0..=LONGEST_ROW >> 20 {
            encoder.write_all(&chunk).expect("gzip");
        }
        encoder.write_all(after.as_bytes()).expect("gzip");
        encoder.finish().expect("gzip")
    };
    let json = "{\"page_view_id\":\"p1\",\"category\":\"";
    for (name, content) in [
        ("header.csv.gz", bomb("", "\n")),
        ("value.csv.gz", bomb(&csv("p1,s1,2024-07-01,5,"), "\n")),
        ("quote.csv.gz", bomb(&csv("p1,s1,2024-07-01,5,\""), "\"\n")),
        ("line.ndjson.gz", bomb(json, "\"}\n")),
        ("element.json.gz", bomb(&format!("[{json}"), "\"}]")),
    ] {
        let error = refused(name, content);
        assert_eq!(error.fault, Fault::Damaged, "{name}: {error:?}");
        assert_says(&error, (error.row, error.line, error.column.as_deref()), "longer than");
    }
}

#[test]
fn progress_counts_the_bytes_of_the_file() {
    let folder = Folder::new();
    let text = csv(&"p1,s1,2024-07-01 10:00:00,5,title\n".repeat(30_000));
    let content = gzip(&text);
    let source = Source::File(folder.write("a.csv.gz", &content));
    let mut reader = Reader::open(&source, &fields(), &REQUIRED, &ReadOptions::default()).expect("right");
    let (mut batches, mut last) = (0, 0);
    while let Some(batch) = reader.next_batch(&mut Rejects::none()).expect("right") {
        batches += 1;
        assert!(batch.len() <= websessions_files::MOST_ROWS);
        assert!(reader.position().bytes >= last);
        last = reader.position().bytes;
    }
    assert_eq!(batches, 4);
    assert_eq!(reader.count(), 30_000);
    assert_eq!((reader.position().bytes, reader.position().total), (content.len() as u64, Some(content.len() as u64)));
}

#[test]
fn after_an_error_comes_the_same_error() {
    let folder = Folder::new();
    let source = Source::File(folder.write("a.csv", csv("p1,s1,soon,5,title\n")));
    let mut reader = Reader::open(&source, &fields(), &REQUIRED, &ReadOptions::default()).expect("a file");
    let first = reader.next_batch(&mut Rejects::none()).expect_err("a wrong value");
    assert_eq!(reader.next_batch(&mut Rejects::none()).expect_err("still"), first);
}

#[test]
fn a_pipe_is_read_as_a_file_is() {
    let folder = Folder::new();
    let path = folder.path("pipe.csv");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(made.success());
    let (writer, text) = (path.clone(), csv("p1,s1,2024-07-01 10:00:00,5,title\n"));
    let writing = std::thread::spawn(move || std::fs::write(writer, text));
    let sources = Sources::resolve([&path]).expect("a name");
    assert_eq!(sources.sources, [Source::File(path.clone())]);
    assert_eq!(read(&path).map(|table| table.rows.len()), Ok(1));
    assert!(writing.join().is_ok_and(|written| written.is_ok()));
}
