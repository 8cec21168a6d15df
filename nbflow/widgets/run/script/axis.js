/** The time axis of a run. */

import { duration, HOUR, MINUTE, SECOND } from "./times.js";

const TICK_STEPS = [
	...[1, 2, 5, 10, 20, 50, 100, 200, 500],
	...[SECOND, MINUTE].flatMap((unit) => [1, 2, 5, 10, 15, 30].map((each) => each * unit)),
	...[1, 2, 3, 6, 12, 24, 48, 168, 720, 8760].map((each) => each * HOUR),
];

/** Where it begins and ends, and its ticks. While it lasts, the end is up to half a step ahead: bars keep their size. */
export function timeAxis({ started, queued, ended }, now, most) {
	const isLive = ended == null;
	const start = started ?? queued ?? now;
	const span = Math.max((ended ?? now) - start, isLive ? 4 * SECOND : 4);
	const step = TICK_STEPS.find((each) => span / each <= most) ?? span;
	const whole = isLive ? Math.ceil(span / (step / 2)) * (step / 2) : span;
	const ticks = Array.from({ length: Math.floor(whole / step) + 1 }, (_, index) => index * step);
	return { start, end: start + whole, length: whole, ticks };
}

export const tickLabel = (ms) => (ms ? duration(ms).replace(/ 00 \w+$/, "") : "0");
