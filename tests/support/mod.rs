//! The real binary, in a folder of its own with a database of its own.

#![allow(dead_code, reason = "each test crate uses a part")]

pub(crate) mod plans;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use websessions_conformance::Case;
use websessions_conformance::{Contents, parse_csv};

pub(crate) struct Folder(tempfile::TempDir);

/// What a command said and did.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Reads what a command says on stderr, up to a line with these words.
pub(crate) fn read_until(lines: &mut BufReader<ChildStderr>, words: &str) {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert!(lines.read_line(&mut line).expect("a line") > 0, "the command ended before {words}");
    }
}

/// The exit code of a command that was started, and the rest of what it says on stderr.
pub(crate) fn end_and_rest(child: Child, mut stderr: impl Read + Send + 'static) -> (Option<i32>, String) {
    let reading = std::thread::spawn(move || {
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).map(|_| rest)
    });
    let code = websessions_test_servers::end(child).status.code();
    (code, reading.join().expect("a thread").expect("the rest"))
}

impl Said {
    pub(crate) fn done(self, what: &str) -> Result<Self, String> {
        if self.code == 0 {
            Ok(self)
        } else {
            Err(format!("{what}: exit code {}\n{}\n{}", self.code, self.stdout, self.stderr))
        }
    }
}

/// A command ended with a code, and said one error, with these words in it.
pub(crate) fn refused(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, code, "{}{}", said.stdout, said.stderr);
    assert_eq!(said.stderr.matches("error:").count(), 1, "{}", said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "{word:?} is not said: {}", said.stderr);
    }
}

/// What a command says that ends well.
pub(crate) fn done(folder: &Folder, arguments: &[&str]) -> String {
    folder.run(arguments).done(&arguments.join(" ")).expect("done").stdout
}

pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// Validates JSON documents by one of the repository's schemas, with a validator that is not ours.
pub(crate) fn validate(schema: &Path, documents: &[serde_json::Value]) {
    let python = std::env::var_os("WEBSESSIONS_TEST_SCHEMAS").expect("tests/run sets WEBSESSIONS_TEST_SCHEMAS");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    let mut command = Command::new(python);
    command.arg(tests.join("validate.py")).arg(schema).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut validator = command.stderr(Stdio::piped()).spawn().expect("Python starts");
    let lines: String = documents.iter().map(|document| format!("{document}\n")).collect();
    std::io::Write::write_all(&mut validator.stdin.take().expect("a pipe"), lines.as_bytes()).expect("it reads");
    let said = Said::from(validator.wait_with_output().expect("it ends"));
    said.done(&format!("by {}", schema.display())).expect("valid documents");
}

/// A JSON schema of the documentation.
pub(crate) fn schema(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas").join(format!("{name}.json"))
}

/// Appends the first page views of the sample that the README runs.
pub(crate) async fn stage_sample(case: &Case, count: usize) -> Result<(), String> {
    let file = std::fs::File::open(fixtures().join("page_views.csv.gz")).expect("the sample");
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(file)).expect("CSV, compressed");
    let (columns, mut rows) = parse_csv(&text);
    rows.truncate(count);
    case.stage(&columns, rows).await
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").filter_map(Result::ok) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file");
        }
    }
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("a file in the temporary folder");
        // Whatever the umask is: a configuration file that others can write is not read.
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("a mode");
        path
    }

    /// The binary, without the environment's own settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_websessions"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WEBSESSIONS_")) {
            command.env_remove(name);
        }
        command.env("COLUMNS", "100").env("NO_COLOR", "1");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().expect("the binary starts").into()
    }

    /// Starts a command and waits until an event whose line holds some text.
    pub(crate) fn run_until(&self, arguments: &[&str], words: &str) -> (Child, BufReader<ChildStderr>) {
        let mut command = self.command(&[&["--log-format", "json"], arguments].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
        read_until(&mut lines, words);
        (child, lines)
    }

    /// What a table holds, through `export`.
    pub(crate) fn contents(&self, table: &str, options: &[&str]) -> Result<Contents, String> {
        let file = self.path().join(format!("{table}.exported.csv"));
        let to = file.to_string_lossy().into_owned();
        let arguments: Vec<&str> = options.iter().copied().chain(["export", table, "--to", &to]).collect();
        self.run(&arguments).done(&format!("export {table}"))?;
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Contents::parse(&text))
    }

    /// Everything in the database, as text: to see that nothing changed.
    pub(crate) fn dump(&self) -> String {
        let database = self.path().join("websessions.duckdb");
        if !database.exists() {
            return "no database".to_owned();
        }
        let connection = duckdb::Connection::open(&database).expect("the database opens");
        let mut tables = connection
            .prepare("SELECT schema_name || '.' || table_name FROM duckdb_tables() UNION ALL SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1")
            .expect("tables can be listed");
        let names: Vec<String> =
            tables.query_map([], |row| row.get(0)).and_then(Iterator::collect).expect("names are text");
        let mut schemas = connection
            .prepare("SELECT schema_name FROM duckdb_schemas() WHERE NOT internal AND schema_name <> 'main' ORDER BY 1")
            .expect("schemas can be listed");
        let schemas: Vec<String> =
            schemas.query_map([], |row| row.get(0)).and_then(Iterator::collect).expect("names are text");
        let mut dump = format!("schemas {schemas:?}\n");
        for name in names {
            let sum: (i64, Option<i128>) = connection
                .query_row(&format!("SELECT COUNT(*), SUM(hash(t)) FROM {name} AS t"), [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .expect("a table can be read");
            dump.push_str(&format!("{name}: {sum:?}\n"));
        }
        dump
    }
}

/// The data of a report's page.
pub(crate) fn data_of(page: &std::path::Path) -> serde_json::Value {
    let text = std::fs::read_to_string(page).expect("the page");
    let (_, rest) = text.split_once("<script id=\"data\" type=\"application/json\">").expect("the data");
    serde_json::from_str(rest.split_once("</script>").expect("their end").0).expect("JSON")
}
