//! Lineage: what a run reads and writes, told to a catalog of data as OpenLineage's events, one when it begins and one when it
//! ends. They go to a file, a line each, or to an HTTP address. A catalog that can't be reached is a warning: the run goes on.
//! <https://openlineage.io/docs/spec/object-model>

use crate::output;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, chain};
use websessions_core::files::Source;
use websessions_core::model::page_views::findings::REPEATED_PAGE_VIEWS;
use websessions_core::model::{Derivation, Derived, Module, RowCounts};
use websessions_core::plan::{Phase, Unit};
use websessions_core::run::{Event, Job, Listener, Outcome, Report};
use websessions_core::table::{Column, Lifetime, SchemaRole, Table};
use websessions_core::variables::Variables;

const SPECIFICATION: &str = "https://openlineage.io/spec";
const PRODUCER: &str = concat!("urn:websessions:", env!("CARGO_PKG_VERSION"));

/// Where servers of OpenLineage take events, if the address has no path of its own.
const USUAL_PATH: &str = "/api/v1/lineage";

/// The namespace of files of this machine: <https://openlineage.io/docs/spec/naming>.
const FILES: &str = "file";

/// How long a server may take for one event.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where events go, and what the job is called there.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) sink: Sink,
    /// The namespace of the job.
    pub(crate) namespace: String,
}

/// Where events go.
#[derive(Clone)]
pub(crate) enum Sink {
    /// To the end of a file.
    File(PathBuf),
    /// To an address, with a key.
    Http {
        url: String,
        /// What stands as `Authorization: Bearer` in each request.
        api_key: Option<String>,
    },
}

impl Sink {
    /// A file, or an address that begins with http:// or https://.
    pub(crate) fn named(name: &str, api_key: Option<String>) -> Result<Self, Error> {
        if !name.starts_with("http://") && !name.starts_with("https://") {
            return match name.split_once("://") {
                None => Ok(Self::File(PathBuf::from(name))),
                // The rest may have a password in it.
                Some((scheme, _)) => Err(Error::Configuration {
                    message: format!("lineage can't be sent to an address that begins with {scheme}://"),
                    hint: Some(
                        "nothing was done; it goes to a file, or to an address that begins with http:// or https://"
                            .to_owned(),
                    ),
                }),
            };
        }
        let mut url = reqwest::Url::parse(name)
            .map_err(|error| Error::configuration(format!("the address of lineage can't be read: {error}")))?;
        if url.path() == "/" {
            url.set_path(USUAL_PATH);
        }
        Ok(Self::Http { url: url.into(), api_key })
    }
}

// A key is never printed, nor what an address may hold beside the host.
impl std::fmt::Debug for Sink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

impl std::fmt::Display for Sink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Http { url, .. } => {
                let url = reqwest::Url::parse(url).ok();
                formatter.write_str(url.as_ref().and_then(reqwest::Url::host_str).unwrap_or("an address"))
            }
        }
    }
}

/// The lineage of one command.
pub(crate) struct Lineage {
    /// What hears the run tells this.
    heard: Option<Arc<Told>>,
    sender: Option<JoinHandle<()>>,
}

impl Lineage {
    /// Of jobs that are to run, if lineage is asked for.
    pub(crate) fn new(settings: Option<Settings>, jobs: &[Job], variables: &Variables, dialect: &dyn Dialect) -> Self {
        let Some(settings) = settings else { return Self { heard: None, sender: None } };
        let (events, received) = unbounded_channel();
        let sender = tokio::spawn(send_all(settings.sink, received));
        let told = Told {
            events,
            namespace: settings.namespace,
            name: format!("websessions.{}", output::command()),
            tables: Tables::of(jobs, variables, dialect),
            state: Mutex::default(),
        };
        Self { heard: Some(Arc::new(told)), sender: Some(sender) }
    }

    /// A listener that tells it what it hears, and passes it on.
    pub(crate) fn listener(&self, listener: Box<dyn Listener>) -> Box<dyn Listener> {
        match &self.heard {
            None => listener,
            Some(told) => Box::new(Telling { told: Arc::clone(told), listener }),
        }
    }

    /// Ends once all is sent, or can't be. A run that has not ended by then was left.
    pub(crate) async fn end(mut self) {
        if let Some(told) = self.heard.take() {
            told.left();
        }
        if let Some(sender) = self.sender.take() {
            let _ = sender.await;
        }
    }
}

struct Telling {
    told: Arc<Told>,
    listener: Box<dyn Listener>,
}

impl Listener for Telling {
    fn on(&self, event: &Event) {
        self.told.hear(event);
        self.listener.on(event);
    }
}

/// What is known of the run, and where its events go.
struct Told {
    events: UnboundedSender<Value>,
    namespace: String,
    name: String,
    tables: Tables,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    report: Report,
    /// The warehouse's namespace, and what stands before the schema in names.
    place: (String, Option<String>),
    began: bool,
}

impl Told {
    fn hear(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::RunStarted { namespace, .. } => {
                *state = State { place: namespace.clone(), ..State::default() };
            }
            // Before it has the lock a run is nothing but an attempt.
            Event::Locked => self.start(&mut state),
            Event::RunFinished { outcome: Outcome::Locked, .. } => {}
            Event::RunFinished { outcome, error, .. } => {
                if !state.began {
                    self.start(&mut state);
                }
                let kind = match outcome {
                    Outcome::Succeeded => "COMPLETE",
                    Outcome::Cancelled => "ABORT",
                    _ => "FAIL",
                };
                self.tell(kind, &state, error.as_deref());
                state.began = false;
            }
            _ => {}
        }
        state.report.apply(event);
    }

    fn start(&self, state: &mut State) {
        state.began = true;
        self.tell("START", state, None);
    }

    fn left(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.began) {
            self.tell("ABORT", &state, None);
        }
    }

    fn tell(&self, kind: &str, state: &State, error: Option<&str>) {
        let mut facets = Map::from_iter([(
            "processing_engine".to_owned(),
            facet(
                "1-1-1/ProcessingEngineRunFacet",
                json!({ "name": state.report.dialect, "version": state.report.version }),
            ),
        )]);
        if let Some(error) = error {
            let words = json!({ "message": error, "programmingLanguage": "SQL" });
            facets.insert("errorMessage".to_owned(), facet("1-0-1/ErrorMessageRunFacet", words));
        }
        let job_type = json!({ "processingType": "BATCH", "integration": "WEBSESSIONS", "jobType": "JOB" });
        let event = json!({
            "eventTime": humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            "eventType": kind,
            "run": { "runId": output::run_id(), "facets": facets },
            "job": {
                "namespace": self.namespace,
                "name": self.name,
                "facets": { "jobType": facet("2-0-4/JobTypeJobFacet", job_type) },
            },
            "inputs": self.tables.inputs.iter().map(|one| one.input(state, kind)).collect::<Vec<_>>(),
            "outputs": self.tables.outputs.iter().map(|one| one.output(state, kind)).collect::<Vec<_>>(),
            "producer": PRODUCER,
            "schemaURL": format!("{SPECIFICATION}/2-0-2/OpenLineage.json#/$defs/RunEvent"),
        });
        let _ = self.events.send(event);
    }
}

fn facet(schema: &str, mut fields: Value) -> Value {
    let name = schema.split_once('/').map_or(schema, |(_, name)| name);
    fields["_producer"] = PRODUCER.into();
    fields["_schemaURL"] = format!("{SPECIFICATION}/facets/{schema}.json#/$defs/{name}").into();
    fields
}

/// What a run reads that others have made, and the tables that it leaves.
struct Tables {
    inputs: Vec<Dataset>,
    outputs: Vec<Dataset>,
}

/// A table, or a file, as events have it.
struct Dataset {
    /// `SCHEMA.TABLE`, or the path of a file.
    name: String,
    /// Whether it is a file.
    is_file: bool,
    /// Names and types of its columns, as far as they are known.
    columns: Vec<(String, String)>,
    /// Its columns that come from others, and the name of the table that they are in.
    derived: Vec<(Derived, String)>,
    /// What says how many rows of it were read or written.
    rows: Option<Counted>,
}

/// Where a run's report has a number of rows.
enum Counted {
    /// In a column of a finding.
    Found(&'static str, &'static str),
    /// With the files that were loaded, by the name of one.
    Loaded(String),
}

impl Tables {
    fn of(jobs: &[Job], variables: &Variables, dialect: &dyn Dialect) -> Self {
        let mut modules: Vec<Module> = Vec::new();
        for (module, _) in jobs.iter().filter_map(Job::of).filter(|(_, phase)| phase.name() != "destroy") {
            if !modules.iter().any(|known| known.name == module.name) {
                modules.push(*module);
            }
        }
        let stays = |table: &Table| table.lifetime == Lifetime::Persistent && table.schema == SchemaRole::Output;
        let typed = |column: &Column| (column.name.to_string(), dialect.column_type(column.column_type));
        let mut tables = Self { inputs: arrivals(jobs, variables), outputs: Vec::new() };
        for module in &modules {
            let lineage = module.column_lineage(variables);
            let name = |table: &str| {
                module.table(table, variables).map(|table| variables.table_name(&table).to_string()).unwrap_or_default()
            };
            let dataset = |table: &Table, counts: &[RowCounts]| Dataset {
                name: variables.table_name(table).to_string(),
                is_file: false,
                columns: table.columns.iter().map(typed).collect(),
                derived: lineage
                    .iter()
                    .filter(|derived| derived.table == table.name)
                    .map(|derived| (derived.clone(), name(derived.source)))
                    .collect(),
                rows: counts
                    .iter()
                    .find(|counts| counts.table == table.name)
                    .map(|counts| Counted::Found(counts.finding, counts.column)),
            };
            let earlier = || modules.iter().take_while(|other| other.name != module.name);
            let reads = module.input.into_iter().chain(lineage.iter().map(|derived| derived.source));
            for table in reads.filter_map(|table| module.table(table, variables)) {
                let one = dataset(&table, module.rows_read);
                let made = earlier().flat_map(|other| other.tables(variables)).any(|made| made.name == table.name);
                if !made && !tables.inputs.iter().any(|known| known.name == one.name) {
                    tables.inputs.push(one);
                }
            }
            if variables.skip_derived {
                continue;
            }
            for table in module.tables(variables).iter().filter(|table| stays(table)) {
                // What another module makes is in this module's list as what it reads.
                let is_read = lineage.iter().any(|derived| derived.source == table.name);
                let one = dataset(table, module.rows_written);
                if !is_read && !tables.outputs.iter().any(|known| known.name == one.name) {
                    tables.outputs.push(one);
                }
            }
        }
        tables
    }
}

/// Where the page views of some jobs come from: files, or a table of the user's.
fn arrivals(jobs: &[Job], variables: &Variables) -> Vec<Dataset> {
    let units = || jobs.iter().flat_map(|job| job.plan().units()).map(|(_, unit)| unit);
    let files: Vec<Dataset> = units()
        .filter_map(|unit| match unit {
            Unit::Load(load) => Some(&load.files.sources),
            _ => None,
        })
        .flatten()
        .filter_map(|source| match source {
            Source::File(path) => Some(Dataset {
                name: std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string(),
                is_file: true,
                columns: Vec::new(),
                derived: Vec::new(),
                rows: Some(Counted::Loaded(source.to_string())),
            }),
            Source::StandardInput => None,
        })
        .collect();
    let reads = jobs.iter().filter_map(Job::of).any(|(module, phase)| module.loads.is_some() && phase == Phase::Main);
    let of_table = variables.page_views_from.as_ref().filter(|_| reads && files.is_empty());
    let of_table = of_table.map(|table| Dataset {
        name: table.to_string(),
        is_file: false,
        columns: Vec::new(),
        derived: Vec::new(),
        rows: Some(Counted::Found(REPEATED_PAGE_VIEWS.name, "rows_arrived")),
    });
    files.into_iter().chain(of_table).collect()
}

impl Dataset {
    fn count(&self, state: &State, kind: &str) -> Option<i64> {
        match self.rows.as_ref().filter(|_| kind == "COMPLETE")? {
            Counted::Found(finding, column) => state.report.findings.get(finding)?.get(0, column).whole_number(),
            Counted::Loaded(name) => {
                let loaded = state.report.loaded.iter().find(|loaded| loaded.file == *name)?;
                i64::try_from(loaded.rows).ok()
            }
        }
    }

    fn input(&self, state: &State, kind: &str) -> Value {
        let mut dataset = self.base(state, Map::new());
        if let Some(rows) = self.count(state, kind) {
            let statistics = facet("1-0-0/InputStatisticsInputDatasetFacet", json!({ "rowCount": rows }));
            dataset["inputFacets"] = json!({ "inputStatistics": statistics });
        }
        dataset
    }

    fn output(&self, state: &State, kind: &str) -> Value {
        let mut facets = Map::new();
        if !self.derived.is_empty() {
            let fields: Map<String, Value> = self
                .derived
                .iter()
                .map(|(derived, source)| {
                    let how = match derived.derivation {
                        Derivation::Identity => "IDENTITY",
                        Derivation::Aggregation => "AGGREGATION",
                        _ => "TRANSFORMATION",
                    };
                    let from: Vec<Value> = derived.from.iter().map(|column| {
                    json!({
                        "namespace": state.place.0,
                        "name": named(state, source),
                        "field": column,
                        "transformations": [{ "type": "DIRECT", "subtype": how, "description": "", "masking": false }],
                    })
                }).collect();
                    (derived.column.clone(), json!({ "inputFields": from }))
                })
                .collect();
            facets.insert(
                "columnLineage".to_owned(),
                facet("1-2-0/ColumnLineageDatasetFacet", json!({ "fields": fields })),
            );
        }
        let mut dataset = self.base(state, facets);
        if let Some(rows) = self.count(state, kind) {
            let statistics = facet("1-0-2/OutputStatisticsOutputDatasetFacet", json!({ "rowCount": rows }));
            dataset["outputFacets"] = json!({ "outputStatistics": statistics });
        }
        dataset
    }

    fn base(&self, state: &State, mut facets: Map<String, Value>) -> Value {
        let fields: Vec<Value> =
            self.columns.iter().map(|(name, column_type)| json!({ "name": name, "type": column_type })).collect();
        if !fields.is_empty() {
            facets.insert("schema".to_owned(), facet("1-2-0/SchemaDatasetFacet", json!({ "fields": fields })));
        }
        let (namespace, name) = match self.is_file {
            true => (FILES, self.name.clone()),
            false => (state.place.0.as_str(), named(state, &self.name)),
        };
        json!({ "namespace": namespace, "name": name, "facets": facets })
    }
}

fn named(state: &State, table: &str) -> String {
    state.place.1.iter().map(String::as_str).chain([table]).collect::<Vec<_>>().join(".")
}

/// Sends each event in turn. The first that can't be sent is warned of.
async fn send_all(sink: Sink, mut events: UnboundedReceiver<Value>) {
    let mut warned = false;
    while let Some(event) = events.recv().await {
        if let Err(problem) = send(&sink, &event).await
            && !std::mem::replace(&mut warned, true)
        {
            output::warn(&format!("the lineage of this run can't be told to {sink}: {problem}; the run goes on"));
        }
    }
}

async fn send(sink: &Sink, event: &Value) -> Result<(), String> {
    match sink {
        Sink::File(path) => {
            let (path, line) = (path.clone(), format!("{event}\n"));
            let written = tokio::task::spawn_blocking(move || {
                let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
                std::io::Write::write_all(&mut file, line.as_bytes())
            });
            written.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        }
        Sink::Http { url, api_key } => {
            let failed = |error: reqwest::Error| chain(&error.without_url());
            let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(failed)?;
            let mut request = client.post(url).json(event);
            if let Some(key) = api_key {
                request = request.bearer_auth(key);
            }
            let response = request.send().await.map_err(failed)?;
            match response.status() {
                status if status.is_success() => Ok(()),
                status => Err(format!("it answers {status}")),
            }
        }
    }
}
