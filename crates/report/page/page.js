"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const DAY = 86400;
  const seconds = (day) => Date.parse(day + "T00:00:00Z") / 1000;
  const dayOf = (time) => new Date(time * 1000).toISOString().slice(0, 10);
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const brief = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const dayName = new Intl.DateTimeFormat("en", { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  const forms = {
    whole: (value) => (value === null ? "–" : whole.format(value)),
    fine: (value) => (value === null ? "–" : fine.format(value)),
    share: (value) => (value === null ? "–" : fine.format(value * 100) + " %"),
    time: (value) => {
      if (value === null) return "–";
      const all = Math.round(value), hours = Math.floor(all / 3600), minutes = Math.floor((all % 3600) / 60);
      if (hours) return `${whole.format(hours)} h ${minutes} min`;
      return minutes ? `${minutes} min ${all % 60} s` : `${all} s`;
    },
  };

  // What lies between the ticks of a time, in seconds; and one of them, in the unit that fits all.
  const wholes = [...Array(15).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));
  const spans = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 864000];
  const timeOf = (tick, most) => (most > 7200 ? brief.format(tick / 3600) + " h" : most > 120 ? brief.format(tick / 60) + " min" : fine.format(tick) + " s");

  /** An element with its attributes and what is in it: text is text, never HTML. */
  const make = (name, attributes, ...inner) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "style") Object.entries(value).forEach(([property, text]) => element.style.setProperty(property, text));
      else if (value !== null && value !== undefined) element.setAttribute(key, value);
    }
    element.append(...inner.filter((one) => one !== null && one !== undefined));
    return element;
  };

  // Every day of the period, also those without a session.
  const days = [], places = new Map();
  if (data.days.length) {
    for (let time = seconds(data.days[0]); time <= seconds(data.days[data.days.length - 1]); time += DAY) {
      places.set(dayOf(time), days.length);
      days.push(dayOf(time));
    }
  }
  const column = (name) => {
    const values = new Array(days.length).fill(0);
    data.days.forEach((day, number) => { values[places.get(day)] = data.daily[name][number]; });
    return values;
  };
  const sessions = column("session_count"), users = column("user_count"), returning = column("returning_users");
  const views = column("page_views"), engaged = column("engaged_time_in_s"), bounces = column("bounces");
  const ratio = (part, all) => (all ? part / all : null);
  const ratios = (parts) => parts.map((part, day) => ratio(part, sessions[day]));
  const sum = (values, first, last) => values.slice(first, last + 1).reduce((all, value) => all + value, 0);

  const charts = [
    { id: "sessions", title: "Sessions and users a day", form: "whole", series: [["Sessions", sessions], ["Users", users]] },
    { id: "returning", title: "Returning users a day", form: "whole", series: [["Users who came back", returning], ["All users", users]] },
    { id: "page_views", title: "Page views a day", form: "whole", series: [["Page views", views]] },
    { id: "views", title: "Page views a session", form: "fine", series: [["Page views a session", ratios(views)]] },
    { id: "bounce", title: "Bounce rate", form: "share", series: [["Sessions of one page view", ratios(bounces)]] },
    { id: "engaged", title: "Engaged time a session", form: "time", series: [["Engaged time a session", ratios(engaged)]] },
  ];
  const breakdowns = [
    { id: "landing_pages", title: "Landing pages", name: "Page" },
    { id: "exit_pages", title: "Exit pages", name: "Page" },
    { id: "sources", title: "Sources", name: "Source", none: "(direct, or not known)" },
    { id: "devices", title: "Devices", name: "Device" },
  ];

  let first = 0, last = days.length - 1;
  const drawn = [];
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const isText = (cell) => cell instanceof Node && cell.classList.contains("text");

  /** A table with a caption, its heads, and rows whose first cell is the row's head. The head of text stands where the text does. */
  const table = (caption, heads, rows) => make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption + ", as a table" },
    make("table", {}, make("caption", {}, caption),
      make("thead", {}, make("tr", {}, ...heads.map((head, number) => make("th", { scope: "col", class: rows.length && isText(rows[0][number]) ? "text" : null }, head)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell, number) =>
        cell instanceof Node ? cell : make(number ? "td" : "th", number ? {} : { scope: "row" }, cell)))))));

  /** A table that is made when it is opened first, and anew when it is open and the days change. */
  const lazily = (summary, rows) => {
    const details = make("details", {}, make("summary", {}, summary));
    const fill = () => {
      details.querySelector(".scroll")?.remove();
      if (details.open) details.append(rows());
    };
    details.addEventListener("toggle", fill);
    return { details, fill };
  };

  /** A chart of one or two lines, or of bars, over x, with a key that follows the pointer or the arrow keys. */
  const chart = (section, { title, series, form, x, bars, at }) => {
    const box = make("div", { class: "chart", tabindex: "0", role: "img" });
    const key = make("p", { class: "key" });
    section.append(box, key);
    const say = forms[form];
    const slice = () => [x().slice(first0(), last0() + 1), ...series().map(([, values]) => values.slice(first0(), last0() + 1))];
    const first0 = () => (bars ? 0 : first), last0 = () => (bars ? x().length - 1 : last);
    let plot = null, chosen = null;
    const show = (number) => {
      const [times, ...columns] = plot ? plot.data : slice();
      key.replaceChildren(...series().map(([name], line) => make("span", {},
        make("i", { class: line ? "second" : "first", style: { background: line ? "var(--second)" : "var(--first)" } }),
        name + (number === null ? "" : ": "), number === null ? null : make("b", {}, say(columns[line][number])))),
        number === null ? "" : make("span", {}, at(times[number], number)));
      return number === null ? "" : `${at(times[number], number)}: ${series().map(([name], line) => `${name} ${say(columns[line][number])}`).join(", ")}`;
    };
    const describe = () => {
      const [times, ...columns] = slice();
      if (!times.length) return `${title}: nothing in these days`;
      const parts = series().map(([name], line) => {
        const values = columns[line].filter((value) => value !== null);
        if (!values.length) return `${name}: nothing`;
        return `${name} from ${say(values.reduce((a, b) => Math.min(a, b)))} to ${say(values.reduce((a, b) => Math.max(a, b)))}`;
      });
      return `${title}: ${parts.join("; ")}. Arrow keys read single values; a table follows.`;
    };
    const draw = () => {
      const rows = slice(), width = box.clientWidth, height = box.clientHeight;
      if (!width) return;
      plot?.destroy();
      plot = null;
      chosen = null;
      box.setAttribute("aria-label", describe());
      show(null);
      if (!rows[0].length) return;
      const single = rows[0].length === 1;
      const around = bars ? 0.6 : single ? DAY : 0;
      const axis = { stroke: style("--soft"), grid: { stroke: style("--grid"), width: 1 }, ticks: { stroke: style("--grid"), width: 1 }, font: "12px system-ui, 'DejaVu Sans', sans-serif" };
      const line = (name, number) => ({
        label: name, stroke: style(number ? "--second" : "--first"), width: 2, spanGaps: false,
        dash: number ? [6, 4] : undefined, fill: number || !bars ? undefined : style("--bar"),
        paths: bars ? uPlot.paths.bars({ size: [0.7, 40] }) : undefined,
        points: { show: single || rows[0].length < 15, size: 7 },
      });
      plot = new uPlot({
        width, height, legend: { show: false }, padding: [12, 28, 0, 0], tzDate: (time) => uPlot.tzDate(new Date(time * 1000), "UTC"),
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
        scales: {
          x: { time: !bars, range: () => [rows[0][0] - around, rows[0].at(-1) + around] },
          y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
        },
        axes: [
          { ...axis, space: 70, values: bars ? (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) && x()[tick] !== undefined ? at(tick, tick, true) : "")) : (_, ticks) => ticks.map((tick) => (tick % DAY ? "" : new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" }).format(tick * 1000))) },
          { ...axis, size: 70, incrs: { time: spans, whole: wholes }[form], values: (_, ticks) => ticks.map((tick) => (form === "share" ? fine.format(tick * 100) + " %" : form === "time" ? timeOf(tick, Math.max(...ticks)) : short.format(tick))) },
        ],
        series: [{}, ...series().map(([name], number) => line(name, number))],
        hooks: { setCursor: [(self) => show(self.cursor.idx ?? null)] },
      }, rows, box);
    };
    box.addEventListener("keydown", (event) => {
      const count = plot ? plot.data[0].length : 0;
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity, PageUp: -7, PageDown: 7 }[event.key];
      if (!step || !count) return;
      event.preventDefault();
      chosen = chosen === null ? (step < 0 ? count - 1 : 0) : Math.max(0, Math.min(count - 1, chosen + step));
      plot.setCursor({ left: plot.valToPos(plot.data[0][chosen], "x"), top: 10 });
      byId("said").textContent = show(chosen);
    });
    box.addEventListener("blur", () => { chosen = null; show(null); });
    // A box without a width, as in a hidden window, keeps what it has.
    new ResizeObserver(() => { if (box.clientWidth && (!plot || Math.abs(plot.width - box.clientWidth) > 1)) draw(); }).observe(box);
    drawn.push(draw);
    return draw;
  };

  const section = (id, title) => make("section", { id: "part-" + id, "aria-labelledby": id + "-title" }, make("h2", { id: id + "-title" }, title));

  for (const one of charts) {
    const part = section(one.id, one.title);
    byId("charts").append(part);
    const times = days.map(seconds);
    chart(part, { ...one, series: () => one.series, x: () => times, at: (time) => dayName.format(time * 1000) });
    const behind = lazily("Show as a table", () => table(one.title, ["Day (UTC)", ...one.series.map(([name]) => name)],
      days.slice(first, last + 1).map((day, number) => [day, ...one.series.map(([, values]) => forms[one.form](values[first + number]))])));
    part.append(behind.details);
    drawn.push(behind.fill);
  }

  for (const one of breakdowns) {
    const part = section(one.id, one.title);
    byId("breakdowns").append(part);
    const place = make("div", {});
    part.append(place);
    drawn.push(() => {
      const all = sum(sessions, first, last);
      const found = data.breakdowns[one.id].map(({ name, title, days: of }) => {
        let count = 0, single = 0;
        for (const [number, ofDay, bounced] of of) {
          const at = places.get(data.days[number]);
          if (at >= first && at <= last) { count += ofDay; single += bounced; }
        }
        return { name: name || one.none || "(not known)", title, count, single };
      }).filter(({ count }) => count).sort((a, b) => b.count - a.count);
      const most = found.length ? found[0].count : 1;
      const listed = found.reduce((sum, { count }) => sum + count, 0);
      const rows = found.map(({ name, title, count, single }) => [
        make("th", { scope: "row", class: "named", style: { "--share": `${(count / most) * 100}%` } },
          make("span", {}, name, title && title !== name ? make("small", {}, make("br"), title) : null)),
        forms.whole(count), forms.share(ratio(count, all)), forms.share(ratio(single, count))]);
      if (all > listed) rows.push(["All others", forms.whole(all - listed), forms.share(ratio(all - listed, all)), ""]);
      place.replaceChildren(rows.length ? table(`${one.title}: the most of the whole period`, [one.name, "Sessions", "Share", "Bounces"], rows) : make("p", {}, "Nothing in these days."));
    });
  }

  const runs = byId("runs");
  runs.append(make("h2", { id: "runs-title" }, "Runs"));
  if (data.runs.length) {
    const inOrder = [...data.runs].reverse().filter((run) => run.seconds !== null).slice(-60);
    const numbers = inOrder.map((_, number) => number), lasted = inOrder.map((run) => run.seconds);
    if (inOrder.length) {
      chart(runs, { title: "How long the latest runs took", form: "time", bars: true, series: () => [["How long it took", lasted]], x: () => numbers,
        at: (number, _, brief) => (brief ? inOrder[number].start.slice(5, 10) : `${inOrder[number].module}, ${inOrder[number].start.slice(0, 16)}: ${forms.whole(inOrder[number].rows)} rows`) });
    }
    const optional = (value) => (value === null ? "–" : forms.whole(value));
    runs.append(table("The latest runs of each module, the newest first", ["Began (UTC)", "Module", "Took", "Rows", "Repeated rows removed", "Keys removed", "Version"],
      data.runs.map((run) => [run.start.slice(0, 19), make("td", { class: "text" }, run.module), run.end ? forms.time(run.seconds) : "did not end", optional(run.rows), optional(run.repeated), optional(run.removed), run.version])));
  } else {
    runs.append(make("p", {}, "There are no runs yet."));
  }

  /** What the tests of data found: those that found something first. */
  const checks = byId("checks");
  checks.append(make("h2", { id: "checks-title" }, "Checks"));
  const words = { failed: "FAILED", warned: "warning", skipped: "skipped", passed: "ok" };
  if (data.checks) {
    const order = Object.keys(words), ofOutcome = (outcome) => data.checks.filter((check) => check.outcome === outcome);
    checks.append(make("p", {}, order.filter((outcome) => ofOutcome(outcome).length).map((outcome) => `${ofOutcome(outcome).length} ${outcome}`).join(", ") + "."));
    const found = ({ reason, failures }) => reason ?? (failures ? `${forms.whole(failures)} rows` : "none");
    const sorted = order.flatMap(ofOutcome);
    checks.append(table("What must hold, and how many rows are wrong", ["Check", "Result", "Found", "Level"],
      sorted.map((check) => [make("th", { scope: "row", class: "check" }, check.name, make("br"), make("small", {}, check.about)),
        make("td", { class: "text outcome" }, make("b", { class: check.outcome }, words[check.outcome])),
        make("td", { class: "text wide" }, found(check)), make("td", { class: "text" }, check.severity)])));
    for (const check of sorted.filter(({ samples }) => samples.length)) {
      const behind = lazily(`${check.name}: ${check.samples.length} of ${forms.whole(check.failures)} rows`, () =>
        table(`${check.name}: some of the rows that are wrong`, check.columns, check.samples.map((row) => row.map((cell) => make("td", { class: "text" }, cell)))));
      checks.append(behind.details);
    }
    const bad = ofOutcome("failed");
    if (bad.length) {
      byId("alarm").append(`${bad.length} of ${data.checks.length} checks failed: `, make("a", { href: "#checks" }, bad.map(({ name }) => name).join(", ")));
      byId("alarm").hidden = false;
    }
  } else {
    checks.append(make("p", {}, "The checks of the data were not run for this page. ", make("code", {}, "websessions report --html FILE --checks"), " makes it with them; ", make("code", {}, "websessions check"), " runs them alone."));
  }

  const totals = () => {
    const count = last - first + 1, all = sum(sessions, first, last);
    const shown = [
      ["Sessions", forms.whole(all)],
      first === 0 && last === days.length - 1 ? ["Users", forms.whole(data.period.users)] : ["Users a day", forms.fine(ratio(sum(users, first, last), count))],
      ["Page views", forms.whole(sum(views, first, last))],
      ["Page views a session", forms.fine(ratio(sum(views, first, last), all))],
      ["Bounce rate", forms.share(ratio(sum(bounces, first, last), all))],
      ["Engaged time a session", forms.time(ratio(sum(engaged, first, last), all))],
    ];
    byId("totals").replaceChildren(...shown.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  };

  const presets = [["7 days", 7], ["30 days", 30], ["90 days", 90], ["All", Infinity]];
  const buttons = presets.map(([name, count]) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => choose(Math.max(0, days.length - count), days.length - 1));
    return [button, count];
  });
  document.querySelector(".presets").append(...buttons.map(([button]) => button));

  function choose(from, to) {
    [first, last] = [from, to];
    byId("from").value = days[first];
    byId("to").value = days[last];
    for (const [button, count] of buttons) {
      button.setAttribute("aria-pressed", String(last === days.length - 1 && first === Math.max(0, days.length - count) && (count < days.length || count === Infinity)));
    }
    redraw();
    byId("said").textContent = `${days[first]} to ${days[last]}: ${forms.whole(sum(sessions, first, last))} sessions`;
  }
  function redraw() {
    totals();
    drawn.forEach((draw) => draw());
  }
  for (const id of ["from", "to"]) {
    byId(id).addEventListener("change", () => {
      const place = places.get(byId(id).value);
      if (place === undefined) return;
      if (id === "from") choose(place, Math.max(place, last));
      else choose(Math.min(first, place), place);
    });
  }
  byId("dates").addEventListener("submit", (event) => event.preventDefault());

  const { about, period } = data;
  byId("about").textContent = `${about.table} in ${about.location}` + (days.length ? `, ${days[0]} to ${days[days.length - 1]} (UTC)` : "");
  byId("made").textContent = `Made at ${about.made_at} by websessions ${about.version}.` +
    (period.all > period.sessions ? ` The table has ${forms.whole(period.all)} sessions of all days; this page is about ${forms.whole(period.sessions)} of them.` : "");
  if (days.length) {
    for (const id of ["from", "to"]) Object.assign(byId(id), { min: days[0], max: days[days.length - 1] });
    choose(0, days.length - 1);
    byId("said").textContent = "";
  } else {
    byId("empty").hidden = false;
    for (const id of ["dates", "numbers", "charts", "breakdowns"]) byId(id).hidden = true;
    byId("dates").style.display = byId("charts").style.display = byId("breakdowns").style.display = "none";
    redraw();
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", redraw);
  addEventListener("afterprint", redraw);
})();
