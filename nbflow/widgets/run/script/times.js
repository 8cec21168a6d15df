/** Times and how long something takes, in words; all are milliseconds. */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** "250 ms", "1.2 s", "3 min 05 s"; as `nbflow.durations.show`. */
export function duration(ms) {
	if (!(ms >= 0)) return "0 ms";
	if (ms < 999.5) return `${Math.round(ms)} ms`;
	if (ms < 59_950) return `${Number((ms / SECOND).toFixed(1))} s`;
	const whole = ms + 50;
	const [large, unit, small, part] =
		whole < HOUR ? [MINUTE, "min", SECOND, "s"] : whole < DAY ? [HOUR, "h", MINUTE, "min"] : [DAY, "d", HOUR, "h"];
	return `${Math.floor(whole / large)} ${unit} ${String(Math.floor((whole % large) / small)).padStart(2, "0")} ${part}`;
}

/** How long something has been going on, in whole seconds: calm to watch. */
const elapsed = (ms) => (ms < SECOND ? "0 s" : duration(Math.floor(ms / SECOND) * SECOND));

export const until = (due, now) => (due > now ? `in ${duration(Math.ceil((due - now) / SECOND) * SECOND)}` : "");

/** A time to wait that fits a column: "18 s", "59 min", "1.9 h". */
export function coarse(ms) {
	if (ms <= MINUTE) return duration(Math.ceil(ms / SECOND) * SECOND);
	const [unit, name] = ms <= HOUR ? [MINUTE, "min"] : ms <= DAY ? [HOUR, "h"] : [DAY, "d"];
	return `${unit === MINUTE ? Math.ceil(ms / unit) : Number((ms / unit).toFixed(1))} ${name}`;
}

export const clock = (time) => new Date(time).toTimeString().slice(0, 8);

/** How long a row or a run has taken or is taking. */
export function timeOf({ started, queued, ended }, now) {
	if (started != null) return ended == null ? elapsed(now - started) : duration(ended - started);
	return queued != null && ended == null ? elapsed(now - queued) : "";
}
