/**
 * A row as the kernel tells it, and what it did when.
 *
 * @typedef {object} Row  a row of the tree, by the names of `ROW` in protocol.py
 */

import { mark } from "./statuses.js";

const FIELDS = "id parent kind name status attempt queued started ended due text flags spans counts run".split(" ");

/** @returns {Row} */
export function decodeRow(list) {
	const row = { parent: 0, name: "", attempt: 0, text: "", flags: "" };
	FIELDS.forEach((field, index) => { if (list[index] != null) row[field] = list[index]; });
	return row;
}

export const holdsOthers = ({ kind }) => kind === "map" || kind === "group";

const LETTER_OF_STATUS = { queued: "q", running: "r", retrying: "b", sleeping: "s", waiting: "w", invoking: "i" };
const LETTER_OF_KIND = { sleep: "s", wait: "w", ask: "w", invoke: "i" };

/** What a row did when: `[letter, from, to, tone]`, letters as in `ROW`; "e": extent of what holds others. */
export function barsOf(row, now) {
	const { status, queued, started, spans } = row;
	const end = row.ended ?? now;
	const tone = mark(status)[1];
	const present = LETTER_OF_STATUS[status];
	if (holdsOthers(row)) return started == null ? [] : [["e", started, end, tone]];
	const bars = (spans ?? []).map(([letter, from, to], index) => {
		const hasFailed = (spans[index + 1]?.[0] ?? present) === "b"; // it backs off from it
		return [letter, from, to, letter !== "r" ? "dim" : hasFailed ? "bad" : tone];
	});
	if (spans) {
		const last = spans.at(-1)?.[2] ?? started ?? queued;
		if (present && last != null) bars.push([present, last, now, tone]);
	} else {
		if (queued != null && queued < (started ?? end)) bars.push(["q", queued, started ?? end, "dim"]);
		if (started != null) bars.push([present ?? LETTER_OF_KIND[row.kind] ?? "r", started, end, tone]);
	}
	return bars;
}
