// Looks at pages of reports in Chromium: check.mjs FOLDER PAGE… (FOLDER has the node modules). Prints what is wrong, a line each, and
// fails if something is: an error of a script, a request to a network, a violation that axe-core finds, a page wider than its
// window, a chart that isn't drawn, arrow keys or dates that do nothing.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, ...pages] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const puppeteer = (await import(pathToFileURL(require.resolve("puppeteer-core")))).default;
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
// A busy machine is slow: what takes longer never ends.
const timeout = 300_000;
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  timeout,
  protocolTimeout: timeout,
  args: ["--no-sandbox", "--disable-gpu"],
});
const problems = [];
let looks = 0;
for (const path of pages) {
  for (const theme of ["light", "dark"]) {
    for (const [device, width, height] of [["phone", 390, 844], ["desktop", 1280, 900]]) {
      const wrong = (what) => problems.push(`${path}, ${theme}, ${device}: ${what}`);
      const page = await browser.newPage();
      page.setDefaultTimeout(timeout);
      page.on("pageerror", (error) => wrong(`a script fails: ${error}`));
      page.on("console", (message) => message.type() === "error" && wrong(`an error is written: ${message.text()}`));
      page.on("request", (request) => /^(file|data):/.test(request.url()) || wrong(`it asks for ${request.url()}`));
      page.on("dialog", (dialog) => { wrong("it opens a dialog"); dialog.dismiss(); });
      await page.setViewport({ width, height });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
      await page.goto(pathToFileURL(path).href);
      const found = await page.evaluate(async (axe) => {
        (0, eval)(axe);
        // What is opened is filled by its event; what is laid out anew is drawn by the next frames.
        const opened = [...document.querySelectorAll("details:not([open])")].map((details) =>
          new Promise((done) => details.addEventListener("toggle", done, { once: true })));
        for (const details of document.querySelectorAll("details")) details.open = true;
        await Promise.all(opened);
        for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
        const { violations, passes } = await window.axe.run(document);
        return {
          violations: violations.map(({ id, nodes }) => `${id} at ${nodes.map(({ target }) => target.join(" ")).slice(0, 3).join(", ")}`),
          passes: passes.length,
          wider: document.documentElement.scrollWidth - innerWidth,
          sessions: document.querySelector("#totals dd")?.textContent,
          charts: [...document.querySelectorAll(".chart")].map((chart) => {
            const canvas = chart.querySelector("canvas");
            if (!canvas) return "none";
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return data.some((value) => value) ? "drawn" : "blank";
          }),
          empty: !document.getElementById("empty").hidden,
          known: JSON.parse(document.getElementById("data").textContent).checks,
          checks: [...document.querySelectorAll("#checks > .scroll tbody tr")].map((row) => row.children[1].textContent),
          checksSay: document.getElementById("checks").textContent,
          alarm: !document.getElementById("alarm").hidden,
        };
      }, axe);
      found.violations.forEach((violation) => wrong(`axe-core: ${violation}`));
      if (found.passes < 15) wrong(`axe-core looked at ${found.passes} rules only`);
      if (found.wider > 0) wrong(`it is ${found.wider} px wider than its window`);
      if (found.known) {
        const failed = found.known.filter(({ outcome }) => outcome === "failed").length;
        if (found.checks.length !== found.known.length) wrong(`${found.checks.length} of ${found.known.length} checks`);
        if (found.checks.filter((words) => words === "FAILED").length !== failed) wrong(`checks say ${found.checks}`);
        if (found.alarm !== failed > 0) wrong("checks that failed are told at the top, and only they");
      } else if (!found.checksSay.includes("websessions report --html FILE --checks")) {
        wrong(`checks that were not run say ${found.checksSay}`);
      }
      if (!found.empty) {
        if (found.charts.length < 7 || found.charts.some((chart) => chart !== "drawn")) wrong(`charts: ${found.charts}`);
        await page.focus("#part-sessions .chart");
        await page.keyboard.press("End");
        const said = await page.$eval("#said", (element) => element.textContent);
        if (!/\d{4}: Sessions [\d,]+, Users [\d,]+$/.test(said)) wrong(`an arrow key says ${JSON.stringify(said)}`);
        const before = await page.$eval("#totals dd", (element) => element.textContent);
        const days = await page.evaluate(() => {
          const [from, to] = ["from", "to"].map((id) => document.getElementById(id));
          const days = (Date.parse(to.value) - Date.parse(from.value)) / 86400000;
          from.value = to.value;
          from.dispatchEvent(new Event("change"));
          return days;
        });
        const after = await page.$eval("#totals dd", (element) => element.textContent);
        if (days && before === after) wrong("other dates change nothing");
      }
      looks += 1;
      await page.close();
    }
  }
}
await browser.close();
problems.forEach((problem) => console.log(problem));
console.log(`${looks} looks`);
process.exit(problems.length ? 1 : 0);
