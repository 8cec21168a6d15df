/** The sections of the details: values, errors, attempts, log lines. */

import { copyButton, h } from "./elements.js";
import { icon } from "./icons.js";
import { mark } from "./statuses.js";
import { clock, duration } from "./times.js";
import { plain } from "./words.js";

export function sections({ status, facts, run_id: started, error, result, input, attempts, log, snippet }) {
	return [
		h("dl.facts", [["status", mark(status)[0]], ...facts].flatMap(([name, text]) => [h("dt", name), h("dd", text)])),
		started && h("p.soft", "started run ", h("code", started), copyButton(started, "the run's id")),
		error && errorSection(error),
		result && valueSection("Result", result),
		input && valueSection("Input", input),
		attempts.length > 1 && section("Attempts", null, h("ol.attempts", attempts.map(attemptLine))),
		log.length > 0 && section("Log", null, logLines(log)),
		snippet && section("In Python", copyButton(snippet, "the code"), code(snippet, "Code")),
	];
}

const section = (title, tool, ...children) => h("section", h("h4", title, tool), children);
const code = (text, name) => h("pre.code", { tabindex: 0, "aria-label": name }, text);

function errorSection({ type, message, traceback, cell }) {
	return section("Error", copyButton(traceback || `${type}: ${message}`, "the error"),
		h("p.error", h("b", type), message && `: ${message}`), cell && h("p.soft", "in ", h("code", cell)),
		traceback && code(traceback, "Traceback"));
}

function valueSection(title, { text, table, image, more }) {
	// A base64 text holds nothing that could end the URL.
	const isImage = image && /^[A-Za-z0-9+/]+={0,2}$/.test(image);
	return section(title, copyButton(text, title.toLowerCase()),
		isImage && h("img", { src: `data:image/png;base64,${image}`, alt: plain(text) || title }),
		table ? tableOf(title, table) : !isImage && code(text, title), more && h("p.soft", more));
}

function tableOf(title, { columns, types, rows, more }) {
	const kinds = columns.map((_, index) => (/^(u?int|float|double|decimal)/i.test(types[index]) ? ".number" : ""));
	const heads = columns.map((column, index) => h(`th${kinds[index]}`, { scope: "col" }, column, types[index] && h("small", types[index])));
	const body = rows.map((cells) => h("tr", cells.map((cell, index) => h(`td${kinds[index]}`, cell))));
	return h("div.table", { tabindex: 0, role: "region", "aria-label": `${title} as a table` },
		h("table", h("thead", h("tr", heads)), h("tbody", body)), more && h("p.soft", more));
}

function attemptLine({ number, status, started, ended, error }) {
	const took = started != null && ended != null && ` after ${duration(ended - started)}`;
	return h("li", icon(status), `${number}. ${mark(status)[0]}`, took, error && h("span.error", error));
}

/** Log lines: `[time, level, text, row, source]`. */
const logLines = (lines) => h("ol.log-lines", { tabindex: 0, "aria-label": "Log lines" }, lines.map(([time, level, text]) =>
	h("li", { "data-level": level }, h("time", clock(time)), h("b", level), h("span", text))));
