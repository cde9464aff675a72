# What developers run. Each recipe is also plain shell: just is a convenience, nothing needs it.

# Run the main job on the committed sample
run *arguments:
    ./fixtures/run {{arguments}}

# Install and start what the tests need, and run them; --everything first runs all trials on the slow servers too
test *arguments:
    ./tests/run {{arguments}}

# Measure in a release build: just bench peers (beside dbt, SQLMesh and scripts), load (beside the engine's COPY), chain (from a file)
bench *arguments="peers":
    ./tests/bench {{arguments}}

# Count the instructions of reading, planning and rendering beside the recorded ones; needs valgrind. ACCEPT=1 records them
instructions:
    ./tests/instructions

# Accept what a change of the model gives now, and show what changed: golden SQL, snapshots, the scenarios' tables
accept:
    bash -c 'source tests/duckdb && ACCEPT=1 cargo test --locked --package websessions --features all --test golden every_phase_and_option'
    bash -c 'source tests/duckdb && INSTA_UPDATE=always cargo test --locked --package websessions --features all --test command_line'
    bash -c 'source tests/duckdb && ACCEPT=1 cargo test --locked --package websessions --features all --test scenarios'
    bash -c 'source tests/duckdb && ACCEPT=1 cargo test --locked --package websessions --features all --test analyzers the_bill'
    bash -c 'source tests/duckdb && ACCEPT=1 cargo test --locked --package websessions --features all --test profiles'
    git diff --stat -- fixtures/golden fixtures/profiles tests/snapshots crates/conformance/scenarios docs

# Format and lint as CI does
lint:
    bash -c 'source tests/duckdb && cargo fmt --all && cargo clippy --locked --workspace --all-targets --features websessions/all -- --deny warnings'

# Check what we depend on: licences, duplicates, sources, advisories; needs cargo-deny and the network
deny:
    cargo deny check

# Build the documentation
doc:
    bash -c 'source tests/duckdb && cargo doc --locked --workspace --no-deps'

# Run the conformance kit on a real account: settings in WEBSESSIONS_LIVE_ACCOUNT and so on (just live snowflake)
live backend *arguments:
    bash -c 'source tests/duckdb && cargo run --locked --package websessions-live -- {{backend}} {{arguments}}'

# Fuzz the playbook reader or the template renderer for so many seconds; needs cargo-fuzz and a nightly compiler
fuzz target="template" seconds="600":
    cargo +nightly fuzz run --fuzz-dir tests/fuzz {{target}} -- -max_total_time={{seconds}} -timeout=10 -rss_limit_mb=2048
