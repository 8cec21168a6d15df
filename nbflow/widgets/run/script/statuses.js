/** The statuses of runs and rows: how they look, what they have in common. */

import { coarse } from "./times.js";

/** Tone and shape (a path in a box of 16) of each status. */
export const MARKS = {
	queued: ["dim", "M8 7a1 1 0 1 0 .01 0z"],
	running: ["busy", "M5 3.5v9l7.5-4.5z"],
	retrying: ["warn", "M12.8 8A4.8 4.8 0 1 1 11.2 4.4M11.6 1.8v3h-3"],
	sleeping: ["rest", "M8 2.5a5.5 5.5 0 1 0 .01 0M8 5v3.2l2.2 1.4"],
	waiting: ["warn", "M4 2.5h8M4 13.5h8M5 2.5c0 4 6 4 6 11M11 2.5c0 4-6 4-6 11"],
	invoking: ["busy", "M4 2.5v6h8M9 5.5l3 3-3 3"],
	completed: ["good", "M3 8.5l3.3 3.3L13 4.7"],
	failed: ["bad", "M4 4l8 8M12 4l-8 8"],
	timed_out: ["bad", "M4 4l8 8M12 4l-8 8"],
	canceled: ["dim", "M8 2.5a5.5 5.5 0 1 0 .01 0M4.2 11.8l7.6-7.6"],
	skipped: ["dim", "M3.5 4l4 4-4 4M8.5 4l4 4-4 4"],
};

/** Word, tone and shape; the words are those of `nbflow.view`. */
export const mark = (status) => [status.replace("_", " "), ...(MARKS[status] ?? ["dim", "M4 8h8"])];

export const BAD = ["failed", "timed_out"];
const OVER = [...BAD, "completed", "canceled", "skipped"];
export const BUSY = Object.keys(MARKS).filter((status) => status !== "queued" && !OVER.includes(status));
export const isFailed = (status) => BAD.includes(status);
export const isOver = (status) => OVER.includes(status);

/** Counts by status; one that is not known counts as nothing. */
export const sum = (numbers) => numbers.reduce((total, each) => total + (each ?? 0), 0);

/** Steps of a run: how many are over and how, and how many are known of. */
export function progressOf({ counts, total }) {
	const of = (names) => sum(names.map((name) => counts[name]));
	return { ...counts, bad: of(BAD), done: of(OVER), busy: of(BUSY), total };
}

/** The status of a row in words, with what there is to count down. */
export function statusWords({ status, due, flags }, now) {
	const left = due > now && coarse(due - now);
	if (status === "retrying" && left) return `retry in ${left}`;
	if (status === "sleeping" && left) return `wakes in ${left}`;
	if (status === "completed") return flags.includes("c") ? "cached" : flags.includes("k") ? "kept" : status;
	return mark(status)[0];
}
