/**
 * The live view of one run: the browser's half of `protocol.py`, for anywidget.
 *
 * `Store` keeps what the kernel has told (head, rows, log) and what the user has chosen
 * (folds, filter, selection), one per model; a view draws it, as often as the model is
 * displayed. Nothing of a run is ever taken as markup: texts become text nodes (`h`).
 *
 * @typedef {object} Row  a row of the tree, by the names of `ROW` in protocol.py
 */

const ROW_HEIGHT = 24; // px, as in the style sheet
const ROWS_IN_SIGHT = 16;
const SPARE_ROWS = 4; // above and below those in sight
const FOLD_FROM = 20; // with more children a row begins folded
const FAILED_SHOWN = 5; // failed children that show under a folded row
const BUTTONS_MOST = 8; // choices that are buttons; more: a list
const BUSY_AFTER = 2000; // ms without an answer
const RESYNC_EVERY = 500;
const ANNOUNCE_EVERY = 5000;

// Words and times

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
const mark = (status) => [status.replace("_", " "), ...(MARKS[status] ?? ["dim", "M4 8h8"])];
const BAD = ["failed", "timed_out"];
const OVER = [...BAD, "completed", "canceled", "skipped"];
const BUSY = Object.keys(MARKS).filter((status) => status !== "queued" && !OVER.includes(status));
export const isFailed = (status) => BAD.includes(status);
export const isOver = (status) => OVER.includes(status);
const FILTERS = { all: null, running: BUSY, failed: BAD };

const count = (number) => number.toLocaleString("en-US");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const listed = (...parts) => parts.filter(Boolean).join(" · ");
const sum = (numbers) => numbers.reduce((total, each) => total + (each ?? 0), 0);

// Controls, and what turns the direction of the text around it.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A text as it can be shown, at most `limit` characters of it. */
function plain(text, limit = 400) {
	const whole = String(text ?? "");
	return (whole.length > limit ? `${whole.slice(0, limit - 1)}…` : whole).replace(UNSAFE, "");
}

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

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

const until = (due, now) => (due > now ? `in ${duration(Math.ceil((due - now) / SECOND) * SECOND)}` : "");

/** A time to wait that fits a column: "18 s", "59 min", "1.9 h". */
function coarse(ms) {
	if (ms <= MINUTE) return duration(Math.ceil(ms / SECOND) * SECOND);
	const [unit, name] = ms <= HOUR ? [MINUTE, "min"] : ms <= DAY ? [HOUR, "h"] : [DAY, "d"];
	return `${unit === MINUTE ? Math.ceil(ms / unit) : Number((ms / unit).toFixed(1))} ${name}`;
}

const clock = (time) => new Date(time).toTimeString().slice(0, 8);

/** The status of a row in words, with what there is to count down. */
export function statusWords({ status, due, flags }, now) {
	const left = due > now && coarse(due - now);
	if (status === "retrying" && left) return `retry in ${left}`;
	if (status === "sleeping" && left) return `wakes in ${left}`;
	if (status === "completed") return flags.includes("c") ? "cached" : flags.includes("k") ? "kept" : status;
	return mark(status)[0];
}

function timeOf({ started, queued, ended }, now) {
	if (started != null) return ended == null ? elapsed(now - started) : duration(ended - started);
	return queued != null && ended == null ? elapsed(now - queued) : "";
}

// Rows, their bars, the time axis

const FIELDS = "id parent kind name status attempt queued started ended due text flags spans counts run".split(" ");

/** @returns {Row} */
function decodeRow(list) {
	const row = { parent: 0, name: "", attempt: 0, text: "", flags: "" };
	FIELDS.forEach((field, index) => { if (list[index] != null) row[field] = list[index]; });
	return row;
}

const holdsOthers = ({ kind }) => kind === "map" || kind === "group";
const LETTER_OF_STATUS = { queued: "q", running: "r", retrying: "b", sleeping: "s", waiting: "w", invoking: "i" };
const LETTER_OF_KIND = { sleep: "s", wait: "w", ask: "w", invoke: "i" };

/** What a row did when: `[letter, from, to, tone]`, letters as in `ROW`; "e": extent of what holds others. */
function barsOf(row, now) {
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

const TICK_STEPS = [
	...[1, 2, 5, 10, 20, 50, 100, 200, 500],
	...[SECOND, MINUTE].flatMap((unit) => [1, 2, 5, 10, 15, 30].map((each) => each * unit)),
	...[1, 2, 3, 6, 12, 24, 48, 168, 720, 8760].map((each) => each * HOUR),
];

/** The time axis of a run. While it lasts, the end is up to half a step ahead: bars keep their size. */
function timeAxis({ started, queued, ended }, now, most) {
	const isLive = ended == null;
	const start = started ?? queued ?? now;
	const span = Math.max((ended ?? now) - start, isLive ? 4 * SECOND : 4);
	const step = TICK_STEPS.find((each) => span / each <= most) ?? span;
	const whole = isLive ? Math.ceil(span / (step / 2)) * (step / 2) : span;
	const ticks = Array.from({ length: Math.floor(whole / step) + 1 }, (_, index) => index * step);
	return { start, end: start + whole, length: whole, ticks };
}

const tickLabel = (ms) => (ms ? duration(ms).replace(/ 00 \w+$/, "") : "0");

// The store

/** A line of the tree; with `more` it stands for so many rows of `row` that are not shown. */
class Item {
	constructor(rows, id, depth, fold, more = 0) {
		Object.assign(this, { rows, id, depth, fold, more, key: more ? -id : id });
	}

	/** The row as it is now: the list outlives it. @returns {Row} */
	get row() {
		return this.rows.get(this.id);
	}
}

class Store {
	head = null;
	/** @type {Map<number, Row>} */
	rows = new Map();
	children = new Map(); // ids by parent, in order
	failed = new Set();
	lastLog = null;
	questions = "[]"; // as JSON: the forms are made anew only when it changes

	folds = new Map(); // what the user did: open, some (the failed ones), closed
	filter = "all";
	search = ""; // part of a name
	selected = 0; // key of an item
	mustReveal = false; // it is to be brought into sight
	scrollTop = 0;
	refusals = new Map(); // what was wrong with an answer, by row

	detailRow = null; // the row whose details are shown; 0: the run
	detail = null;
	plan = null; // null, "asked", or what the kernel said
	notice = null; // {tone, text}
	commands = new Map(); // under way: {name, row, isAccepted} by number
	isDeaf = false; // nothing can be asked of the kernel

	#model = null;
	#picture = null;
	#seq = 0;
	#missing = 0; // the first number that is missing; 0: none is
	#resyncAt = 0;
	#resyncWait = RESYNC_EVERY; // doubled until the kernel answers
	#offset = null; // ms from the kernel's clock to the browser's
	#lastHeard = 0;
	#slowAt = 0;
	#lastCommand = 0;
	#reopened = new Set();
	#isDetailOld = false;
	#ticker = 0;
	#list = null;
	#views = new Map(); // {isVisible, isHeld} by view
	#said = { vis: true, hold: false };

	/** anywidget takes the listeners off when the model is closed. */
	connect(model) {
		this.#model = model;
		model.on("msg:custom", (message) => this.receive(message));
		model.on("change:snapshot", () => this.#load(model.get("snapshot")));
		model.on("comm_live_update", () => {
			this.commands.clear();
			this.plan = null;
			this.#lastHeard = this.now;
			this.#close("disconnected: the kernel was restarted; run the cell again to go on");
			this.#picture.leave(this.notice.text);
		});
		// Closed at its end, on a page that does not hear of the HTML that replaces it.
		model.on("comm:close", () => this.head && isOver(this.head.status) && this.#picture.leave("", true));
		this.#load(model.get("snapshot"));
		this.#picture = keepPicture(model.get("snapshot").id, model, (remark) => pictureOf(this, remark));
	}

	/** The kernel's time; where nothing more will come, when it was last heard. */
	get now() {
		return this.isDeaf || this.head?.problem ? this.#lastHeard : Date.now() - this.#offset;
	}

	attach(view) {
		this.#views.set(view, { isVisible: true, isHeld: false });
		this.#picture.found();
		this.#ticker ||= setInterval(() => this.#tick(), SECOND);
		this.send({ t: "hello", v: 1, visible: true });
	}

	detach(view) {
		this.#views.delete(view);
		this.note(view, {});
		if (this.#views.size) return;
		clearInterval(this.#ticker);
		this.#ticker = 0;
	}

	/** Tell that a view came into sight or left it, that pointer or focus are in it. */
	note(view, change) {
		Object.assign(this.#views.get(view) ?? {}, change);
		const views = [...this.#views.values()];
		const said = {
			vis: !document.hidden && views.some((each) => each.isVisible), hold: views.some((each) => each.isHeld),
		};
		for (const [t, on] of Object.entries(said)) if (on !== this.#said[t]) this.send({ t, on });
		this.#said = said;
	}

	draw() {
		for (const view of this.#views.keys()) view.schedule();
	}

	#tick() {
		if (this.#missing) this.#askAgain();
		if (this.#isDetailOld) this.#askDetail();
		if (this.head && !this.isDeaf && !isOver(this.head.status)) this.draw();
	}

	// Kernel to browser

	receive(message) {
		// Who speaks is not gone, who answers is not busy.
		if (this.isDeaf || (this.notice?.isBusy && message.t !== "d")) this.notice = null;
		this.isDeaf = false;
		if (message.t === "d") this.#takeDelta(message);
		else if (message.t === "s") this.#load(message.snapshot);
		else if (message.t === "ack") this.#takeAck(message);
		else if (message.t === "bye") this.#close(message.reason);
		else if (message.t === "p") this.plan &&= message;
		else if (message.t === "t" && message.detail.row === this.detailRow) {
			if (JSON.stringify(message.detail) !== JSON.stringify(this.detail)) this.detail = message.detail;
		}
		this.draw();
	}

	#load(snapshot) {
		if (!snapshot?.head || (this.head && snapshot.seq < this.#seq && !this.#missing)) return;
		this.#offset = null;
		this.#hear(snapshot.now);
		this.#seq = snapshot.seq;
		this.#missing = 0;
		this.#resyncWait = RESYNC_EVERY;
		for (const known of [this.rows, this.children, this.failed]) known.clear();
		this.#list = null;
		for (const list of snapshot.rows) this.#takeRow(list);
		this.#takeLog(snapshot.log);
		this.#takeHead(snapshot.head);
		this.draw();
	}

	#takeDelta({ seq, now, rows, head, log }) {
		if (seq <= this.#seq) return;
		if (seq > this.#seq + 1) this.#missing ||= this.#seq + 1;
		// Rows are whole: what has come is right, whatever is missing.
		this.#seq = seq;
		this.#hear(now);
		for (const list of rows) this.#takeRow(list);
		this.#takeLog(log ?? []);
		if (head) this.#takeHead(head);
		if (this.#missing) this.#askAgain();
	}

	#takeLog(lines) {
		this.lastLog = lines.at(-1) ?? this.lastLog;
		if (lines.length && this.detailRow === 0) this.#isDetailOld = true;
	}

	/** The smallest difference ever seen is the clocks'; what is above it is delay. */
	#hear(now) {
		const difference = Date.now() - now;
		this.#lastHeard = now;
		this.#offset = Math.min(this.#offset ?? difference, difference);
		const lag = difference - this.#offset;
		if (lag < SECOND || Date.now() - this.#slowAt < 5 * SECOND) return;
		this.#slowAt = Date.now();
		this.send({ t: "slow", lag });
	}

	#takeHead(head) {
		for (const [cmd, { name, row }] of this.commands) {
			const isOpen = name === "answer" ? head.questions.some((each) => each.row === row) : head.can.includes(name);
			if (!isOpen) this.commands.delete(cmd);
		}
		if (!head.can.includes("resume")) this.plan = null;
		this.head = head;
		this.questions = JSON.stringify(head.questions);
		if (this.detailRow === 0) this.#isDetailOld = true;
	}

	#takeRow(list) {
		if (list.length === 1) return this.#dropRow(list[0]);
		const row = decodeRow(list);
		const old = this.rows.get(row.id);
		this.rows.set(row.id, row);
		if (old && old.parent !== row.parent) this.#unlink(old);
		if (old?.parent !== row.parent) this.#link(row);
		if (isFailed(row.status) !== this.failed.has(row.id)) {
			if (this.failed.delete(row.id) === false) this.#noteFailed(row);
			this.#list = null;
		}
		if ((this.filter !== "all" && old?.status !== row.status) || old?.flags !== row.flags) this.#list = null;
		if (row.id === this.detailRow) this.#isDetailOld = true;
		return undefined;
	}

	#dropRow(id) {
		for (const child of this.heldBy(id)) this.#dropRow(child);
		if (this.rows.has(id)) this.#unlink(this.rows.get(id));
		for (const known of [this.rows, this.children, this.failed]) known.delete(id);
	}

	#link({ id, parent }) {
		const ids = this.heldBy(parent);
		ids.push(id);
		if (ids.at(-2) > id) ids.sort((one, other) => one - other);
		this.children.set(parent, ids);
		this.#list = null;
	}

	#unlink({ id, parent }) {
		this.children.set(parent, this.heldBy(parent).filter((each) => each !== id));
		this.#list = null;
	}

	heldBy(id) {
		return this.children.get(id) ?? [];
	}

	/** A failure shows itself once, even where the user has folded what holds it. */
	#noteFailed(row) {
		this.failed.add(row.id);
		for (let id = row.parent; id; id = this.rows.get(id)?.parent) {
			if (this.folds.get(id) === "closed" && !this.#reopened.has(id)) this.folds.set(id, "some");
			this.#reopened.add(id);
		}
	}

	#takeAck({ cmd, ok, text, problems }) {
		const command = this.commands.get(cmd);
		if (command?.name === "answer" && !ok) this.refusals.set(command.row, { text, problems: problems ?? {} });
		else if (text && command?.name !== "answer") this.#say({ tone: ok ? "good" : "bad", text });
		// What was accepted stays under way until the head shows it.
		if (command && ok && command.name !== "rerun") command.isAccepted = true;
		else this.commands.delete(cmd);
	}

	/** Nothing more will come, as far as it is known. */
	#close(text) {
		this.isDeaf = true;
		this.#say({ tone: "warn", text });
	}

	// Browser to kernel

	send(message) {
		if (this.isDeaf) return;
		try {
			this.#model.send(message);
		} catch {
			this.#close("disconnected: the kernel is gone");
		}
	}

	/** Send a command; the answer to it is `ack`. */
	command(name, fields = {}) {
		const cmd = (this.#lastCommand += 1);
		this.notice = null;
		this.commands.set(cmd, { name, row: fields.row, isAccepted: false });
		this.send({ t: name, cmd, ...fields });
		this.#expect(() => this.commands.get(cmd)?.isAccepted === false);
		this.draw();
	}

	isUnderWay(name, row) {
		return [...this.commands.values()].some((each) => each.name === name && each.row === row);
	}

	/** Ask for the plan of a resume ("asked"), or drop it (null). */
	setPlan(plan) {
		this.plan = plan;
		if (plan) this.send({ t: "plan" });
		this.#expect(() => this.plan === "asked");
		this.draw();
	}

	#expect(isMissing) {
		const busy = { tone: "warn", text: "kernel busy — use the stop button", isBusy: true };
		setTimeout(() => isMissing() && this.#say(busy), BUSY_AFTER);
	}

	#say(notice) {
		this.notice = notice;
		this.draw();
	}

	#askAgain() {
		if (Date.now() - this.#resyncAt < this.#resyncWait) return;
		this.#resyncAt = Date.now();
		this.#resyncWait = Math.min(this.#resyncWait * 2, 30 * SECOND);
		this.send({ t: "resync", have: this.#missing - 1 });
	}

	showDetail(row) {
		if (this.detailRow !== row) this.detail = null;
		this.detailRow = row;
		if (row !== null) this.#askDetail();
		this.draw();
	}

	#askDetail() {
		const row = this.detailRow;
		this.#isDetailOld = false;
		if (row !== null) this.send({ t: "detail", row });
	}

	setFilter(filter, search = this.search) {
		Object.assign(this, { filter, search, scrollTop: 0 });
		this.#list = null;
		this.draw();
	}

	/** open, closed, some (its failed children show), or null: it holds nothing. */
	foldOf({ id, flags }) {
		const held = flags.includes("l") ? Infinity : this.heldBy(id).length;
		return held ? this.folds.get(id) ?? (held > FOLD_FROM ? "some" : "open") : null;
	}

	fold(row, isOpen) {
		this.folds.set(row.id, isOpen ? "open" : "closed");
		if (row.flags.includes("l")) this.send({ t: "open", row: row.id, on: isOpen });
		this.#list = null;
		this.draw();
	}

	select(selected) {
		Object.assign(this, { selected, mustReveal: true });
		this.draw();
	}

	/** The lines of the tree. @returns {Item[]} */
	get list() {
		this.#list ??= this.#flatten();
		return this.#list;
	}

	#flatten() {
		const wanted = this.search || this.filter !== "all" ? this.#withAbove(this.#matching()) : null;
		const troubled = this.#withAbove(this.failed);
		const items = [];
		const add = (id, depth) => {
			const item = new Item(this.rows, id, depth, this.foldOf(this.rows.get(id)));
			items.push(item);
			return item;
		};
		const walk = (parent, depth) => {
			for (const id of this.heldBy(parent)) {
				if (wanted && !wanted.has(id)) continue;
				const item = add(id, depth);
				if (wanted && item.fold) item.fold = this.heldBy(id).some((child) => wanted.has(child)) ? "open" : "closed";
				if (item.fold === "open") walk(id, depth + 1);
				else if (item.fold === "some") walkFailed(item);
			}
		};
		const walkFailed = (item) => {
			const { row, depth } = item;
			const shown = this.heldBy(row.id).filter((id) => troubled.has(id)).slice(0, FAILED_SHOWN);
			if (!shown.length) item.fold = "closed";
			for (const id of shown) {
				const inner = add(id, depth + 1);
				if (inner.fold && inner.fold !== "closed") walkFailed(inner);
			}
			const all = Math.max(this.heldBy(row.id).length, holdsOthers(row) && row.counts ? sum(row.counts.slice(0, 4)) : 0);
			const more = all - shown.length;
			if (shown.length && more) items.push(new Item(this.rows, row.id, depth + 1, null, more));
		};
		walk(0, 1);
		return items;
	}

	*#matching() {
		const [statuses, part] = [FILTERS[this.filter], this.search.toLowerCase()];
		for (const row of this.rows.values()) {
			// What holds others is found through them.
			const isHolder = holdsOthers(row) && this.heldBy(row.id).length;
			if (statuses && (isHolder || !statuses.includes(row.status))) continue;
			if (this.#nameOf(row).includes(part)) yield row.id;
		}
	}

	/** The whole name, as users write it: with those of the rows above. */
	#nameOf({ name, parent }) {
		const above = this.rows.get(parent);
		const before = above ? this.#nameOf(above) + (above.kind === "map" ? "" : "/") : "";
		return before + name.toLowerCase();
	}

	#withAbove(ids) {
		const found = new Set();
		for (let id of ids) for (; id && !found.has(id); id = this.rows.get(id)?.parent) found.add(id);
		return found;
	}

	/** Steps of the run: how many are over and how, and how many are known of. */
	progress() {
		const { counts, total } = this.head;
		const of = (names) => sum(names.map((name) => counts[name]));
		return { ...counts, bad: of(BAD), done: of(OVER), busy: of(BUSY), total };
	}
}

// Elements

/**
 * Make an element: `h("button.quiet", {onclick}, "Copy")`. Classes get the prefix `nbf-`;
 * properties are listeners (`on…`) and attributes; a string becomes a text.
 */
function h(what, ...parts) {
	const [tag, ...names] = what.split(".");
	const element = document.createElement(tag);
	if (names.length) element.className = names.map((name) => `nbf-${name}`).join(" ");
	for (const part of parts.flat()) {
		if (typeof part === "string") element.append(plain(part, 40_000));
		else if (part instanceof Node) element.append(part);
		else set(element, part || {});
	}
	return element;
}

/** Replace what is in an element; false and null stand for nothing. */
const fill = (element, ...children) => element.replaceChildren(...children.filter(Boolean));

/** Change only what differs: selections and screen readers stay calm. */
function say(element, text, limit) {
	const shown = plain(text, limit);
	if (element.textContent !== shown) element.textContent = shown;
}

function set(element, attributes) {
	for (const [name, value] of Object.entries(attributes)) {
		if (name.startsWith("on")) element[name] = value;
		else if (value == null || value === false) element.removeAttribute(name);
		else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
	}
}

/** A function that tells whether its argument is another one than last time. */
const watch = (last) => (key) => last !== (last = key);

const newId = () => `nbf-${Math.random().toString(36).slice(2)}`;
const button = (text, onclick, kind = "", more = {}) => h(`button.button${kind}`, { type: "button", onclick, ...more }, text);

function icon(status = "queued") {
	const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
	set(svg, { viewBox: "0 0 16 16", "aria-hidden": true, class: "nbf-icon" });
	svg.append(path);
	return setIcon(svg, status);
}

function setIcon(svg, status) {
	const [, tone, path] = mark(status);
	set(svg.firstChild, { d: path });
	set(svg, { "data-tone": tone, "data-status": status });
	return svg;
}

/** A button that puts a text on the clipboard; browsers want https or localhost for it. */
function copyButton(text, what) {
	const onclick = async () => {
		await navigator.clipboard.writeText(text);
		say(made, "copied");
		setTimeout(() => say(made, "copy"), 1200);
	};
	const made = button("copy", onclick, ".quiet", { "aria-label": `Copy ${what}`, hidden: !navigator.clipboard });
	return made;
}

// The parts of a view: each has an element, and draws into it what the store holds

function makeHeader(store) {
	const [sign, word, label, time, id] = [icon(), h("span"), h("span.label"), h("span"), h("span.run-id")];
	const badge = h("span.badge", sign, word);
	const name = button("", () => store.showDetail(0), ".run-name");
	const buttons = [
		["cancel", "Cancel", "Canceling…", button("", () => store.command("cancel"))],
		["resume", "Resume…", "Resuming…", button("", () => store.setPlan("asked"), ".main")],
		["rerun", "Rerun", "Starting…", button("", () => store.command("rerun"))],
	];
	const shares = ["good", "bad", "busy"].map((tone) => h("span", { "data-tone": tone }));
	const bar = h("div.progress", { role: "progressbar", "aria-label": "steps" }, shares);
	const [counts, lines, notice, plan] = [h("div.soft"), h("div"), h("div.line", { role: "status" }), makePlan(store)];
	const actions = h("span.actions", buttons.map((each) => each[3]));
	const el = h("header.header", h("div.title", badge, name, label, time, id, actions), bar, counts, lines, notice, plan.el);
	const areOtherLines = watch();

	function timeWords(head) {
		const left = until(head.due, store.now);
		if (left) return `${head.attempt > 1 ? `attempt ${head.attempt}` : "starts"} ${left}`;
		return `${head.started == null && head.queued != null ? "queued " : ""}${timeOf(head, store.now)}`;
	}

	function drawProgress({ status, progress }) {
		const { bad, busy, done, total, ...counted } = store.progress();
		const parts = [done - bad, bad, busy];
		parts.forEach((part, index) => set(shares[index], { style: `width:${(100 * part) / (total || 1)}%`, hidden: !part }));
		const live = isOver(status) ? [] : [...BUSY, "queued"].filter((name) => counted[name]);
		say(counts, listed(
			total === 0 ? "" : done === total ? plural(total, "step") : `${count(done)} of ${plural(total, "step")}`,
			bad && `${count(bad)} failed`,
			...live.map((name) => `${count(counted[name])} ${name}`), progress));
		set(bar, { hidden: !total, "aria-valuemax": total, "aria-valuenow": done, "aria-valuetext": counts.textContent });
	}

	function drawLines({ status, error, text, waiting, engine, problem }) {
		const warnings = [...waiting, problem ?? (engine === "left" && "no engine is alive that goes on with it")];
		const said = [
			["bad", error], [null, text && status === "completed" ? `result ${text}` : text],
			...warnings.map((each) => ["warn", each]),
		].filter(([, each]) => each);
		if (areOtherLines(JSON.stringify(said))) fill(lines, ...said.map(([tone, each]) => h("p.line", { "data-tone": tone }, each)));
	}

	function draw() {
		const { head, notice: news } = store;
		setIcon(sign, head.status);
		say(word, mark(head.status)[0]);
		set(badge, { "data-tone": mark(head.status)[1] });
		say(name, head.workflow);
		say(label, head.label);
		say(time, timeWords(head));
		if (!id.firstChild) fill(id, h("code", head.run_id), copyButton(head.run_id, "the run's id"));
		for (const [command, idle, busy, element] of buttons) {
			const isUnderWay = store.isUnderWay(command);
			set(element, { hidden: !head.can.includes(command), disabled: isUnderWay || store.isDeaf });
			say(element, isUnderWay ? busy : idle);
		}
		drawProgress(head);
		drawLines(head);
		plan.draw();
		set(notice, { hidden: !news, "data-tone": news?.tone });
		say(notice, news?.text);
	}
	return { el, draw };
}

function makePlan(store) {
	const el = h("div.card", { role: "group", "aria-label": "Plan of the resume", "data-tone": "busy", hidden: true });
	const isOther = watch(null);

	function draw() {
		const { plan } = store;
		if (!isOther(plan)) return;
		el.hidden = !plan?.text;
		if (el.hidden) return;
		const stale = plan.stale.length;
		const resume = (text, isAfresh, kind) => button(text, () => {
			store.setPlan(null);
			store.command("resume", { stale: isAfresh });
		}, kind);
		const start = resume("Resume", false, ".main");
		fill(el, h("p", h("b", "Resume"), ` ${plan.text}`),
			plan.to_run.length > 0 && h("p.soft", `to run: ${plan.to_run.join(", ")}`),
			h("p.actions", start, stale > 0 && resume(`Resume, ${count(stale)} stale afresh`, true), button("Not now", () => store.setPlan(null))));
		start.focus({ preventScroll: true });
	}
	return { el, draw };
}

/** The questions of `ctx.ask`; what the user has begun to fill in stays. */
function makeQuestions(store) {
	const el = h("div");
	const areOther = watch("[]");
	let cards = new Map();

	function draw() {
		if (areOther(store.questions)) {
			const keyed = store.head.questions.map((each) => [JSON.stringify(each), each]);
			cards = new Map(keyed.map(([key, each]) => [key, cards.get(key) ?? makeQuestion(store, each)]));
			fill(el, ...[...cards.values()].map((card) => card.el));
		}
		for (const card of cards.values()) card.draw();
	}
	return { el, draw };
}

/** Buttons for a choice, a form for the rest. */
function makeQuestion(store, { row, step, text, schema, until: end }) {
	const choices = choicesOf(schema);
	const { properties } = schema;
	const [id, left, problem] = [newId(), h("span.left.soft"), h("p.problem", { role: "alert" })];
	const isOtherRefusal = watch();
	let [fields, controls] = [[], []];

	function answer(value) {
		store.refusals.delete(row);
		store.command("answer", { row, value });
	}

	function makeChoice() {
		controls = choices.map(([value, word]) => button(word, () => answer(value), ".main"));
		return h("p.actions", controls);
	}

	function makeForm() {
		const form = properties ? schema : { properties: { "": schema }, required: [""] };
		fields = Object.entries(form.properties).map(([name, each]) => makeField(name, each, form.required?.includes(name), id));
		controls = [h("button.button.main", { type: "submit" }, "Send")];
		return h("form.form", { onsubmit }, fields.map((field) => field.el), h("p.actions", controls));
	}

	function onsubmit(event) {
		event.preventDefault();
		const given = fields.map(({ name, read }) => [name, read()]).filter(([, value]) => value !== undefined);
		answer(properties ? Object.fromEntries(given) : given[0]?.[1] ?? null);
	}

	function draw() {
		const isSent = store.isUnderWay("answer", row);
		for (const control of controls) control.disabled = isSent || store.isDeaf;
		const ends = until(end, store.now);
		say(left, isSent ? "sending the answer…" : ends && `ends ${ends}`);
		const refusal = store.refusals.get(row);
		problem.hidden = !refusal;
		if (!isOtherRefusal(refusal)) return;
		say(problem, refusal?.text);
		for (const field of fields) field.show(refusal?.problems[field.name]);
		fields.find(({ name }) => refusal?.problems[name])?.input.focus();
	}
	const body = choices?.length <= BUTTONS_MOST ? makeChoice() : makeForm();
	const el = h("section.card.question", { role: "group", "aria-labelledby": id, "data-tone": "warn" },
		h("p.asked", icon("waiting"), h("b", step), left), h("p.asked-text", { id }, text), body, problem);
	return { el, draw };
}

/** `[value, word]` of each choice; null: the schema leaves more than a choice. */
function choicesOf(schema) {
	const word = (value) => [value, typeof value === "string" ? value : JSON.stringify(value)];
	return schema.type === "boolean" ? [[true, "Yes"], [false, "No"]] : schema.enum?.map(word) ?? null;
}

/** One field of a form: a control by its schema, and what is wrong with it. */
function makeField(name, schema, isNeeded, questionId) {
	const { type, title, format, nullable, description, default: start } = schema;
	const isTicked = type === "boolean";
	const isNumber = ["number", "integer"].includes(type);
	const isRequired = isNeeded && !nullable;
	const choices = isTicked ? null : choicesOf(schema);
	const id = newId();
	const problem = h("span.problem", { id: `${id}-p`, hidden: true });
	const input = makeControl({
		id, "aria-describedby": `${id}-p`, "aria-required": isRequired, "aria-labelledby": name ? null : questionId, oninput: () => show(null),
	});
	if (start != null) {
		const text = typeof start === "string" ? start : JSON.stringify(start, null, 1);
		if (isTicked) input.checked = start;
		else input.value = choices ? choices.findIndex(([each]) => each === start) : text;
	}
	const label = name && h("label", { for: id }, title ?? name, isRequired && !isTicked && h("span.problem", " *"));
	const el = h(isTicked ? "div.field.ticked" : "div.field", label, input, description && h("small", description), problem);

	function makeControl(common) {
		if (choices) return h("select.input", common, h("option", { value: "" }), choices.map(([, word], value) => h("option", { value }, word)));
		if (!isTicked && !isNumber && type !== "string") return h("textarea.input", { ...common, rows: 3, placeholder: "JSON" });
		return h("input.input", { ...common, type: isTicked ? "checkbox" : "text", inputmode: isNumber && "decimal", placeholder: format });
	}

	/** What was filled in, as far as it can be read: the kernel says what is wrong with it. */
	function read() {
		if (isTicked) return input.checked;
		const text = input.value.trim();
		if (!text) return nullable ? null : undefined;
		if (choices) return choices[text][0];
		if (type === "string") return input.value;
		try {
			return JSON.parse(text);
		} catch {
			return text;
		}
	}

	function show(wrong) {
		problem.hidden = !wrong;
		say(problem, wrong);
		set(input, { "aria-invalid": Boolean(wrong) });
	}
	return { el, name, input, read, show };
}

/** The steps as a tree with a time line; only the rows in sight are elements. */
function makeTree(store) {
	const id = newId();
	const lines = [];
	const filters = Object.keys(FILTERS).map((name) => [name, button("", () => store.setFilter(name), ".filter")]);
	const search = h("input.input.search", {
		type: "search", placeholder: "find a step  /", "aria-label": "Find a step by its name",
		oninput: () => store.setFilter(store.filter, search.value.trim()), onkeydown: onsearch,
	});
	const tools = h("div.tools", { role: "group", "aria-label": "Filter" }, filters.map(([, each]) => each), search);
	const column = (name, kind = "") => h(`span${kind}`, { role: "columnheader" }, name);
	const axisHead = h("span.axis", { role: "columnheader", "aria-label": "Timeline" });
	const columns = h("div.columns", { role: "row", "aria-rowindex": 1 }, column("Step"), column("Status"), column("Time", ".time"), axisHead);
	const grid = h("div.grid", { "aria-hidden": true });
	const canvas = h("div.canvas", { role: "presentation" }, grid);
	const viewport = h("div.viewport", { role: "rowgroup", tabindex: -1, onscroll }, canvas);
	const empty = h("p.empty.soft");
	const table = h("div.tree", { role: "treegrid", tabindex: 0, onkeydown, onclick }, columns, viewport, empty);
	const part = { el: h("div", tools, table), table, draw, measure, onenter: null };
	const isOtherAxis = watch();
	let [height, length, axisWidth, pause, typed, typedAt] = [0, 0, 300, 0, "", 0];

	/** The size has changed, or the view is on the page again. */
	function measure() {
		const width = table.clientWidth;
		if (!width) return;
		table.dataset.width = width < 540 ? "narrow" : width < 1000 ? "middle" : "wide";
		columns.style.paddingRight = `${viewport.offsetWidth - viewport.clientWidth}px`;
		axisWidth = axisHead.clientWidth;
		grid.style.width = `${axisWidth}px`;
		viewport.scrollTop = store.scrollTop; // what is taken off the page loses its place
	}

	function onscroll() {
		if (!viewport.clientHeight) return;
		store.scrollTop = viewport.scrollTop;
		store.draw();
	}

	function draw() {
		const { list, head, now } = store;
		drawTools(store.progress());
		set(table, { "aria-label": `Steps of ${plain(head.workflow)}`, "aria-rowcount": list.length + 1 });
		if (length !== list.length) {
			height = Math.min(list.length, ROWS_IN_SIGHT) * ROW_HEIGHT;
			viewport.style.height = `${height}px`;
			canvas.style.height = `${list.length * ROW_HEIGHT}px`;
			if (length > ROWS_IN_SIGHT !== list.length > ROWS_IN_SIGHT) measure();
			length = list.length;
		}
		empty.hidden = length > 0;
		columns.hidden = !store.rows.size;
		say(empty, store.rows.size ? `no step ${store.search ? "in this view has such a name" : "matches the filter"}` : isOver(head.status) ? "no steps" : "no steps yet");
		const place = store.mustReveal ? list.findIndex(({ key }) => key === store.selected) : -1;
		if (place >= 0) {
			const top = place * ROW_HEIGHT;
			store.scrollTop = Math.max(Math.min(store.scrollTop, top), top + ROW_HEIGHT - height);
			viewport.scrollTop = store.scrollTop;
		}
		const axis = timeAxis(head, now, Math.max(axisWidth / 64, 2));
		drawAxis(axis);
		drawRows(list, axis, now);
	}

	function drawTools({ bad, busy }) {
		const words = ["All", `Running ${count(busy)}`, `Failed ${count(bad)}`];
		filters.forEach(([name, element], index) => {
			say(element, words[index]);
			set(element, { "aria-pressed": String(store.filter === name) });
		});
		if (search.value.trim() !== store.search) search.value = store.search; // of another display
		tools.hidden = store.rows.size < 2;
	}

	function drawAxis({ length: whole, ticks }) {
		const style = (ms) => ({ style: `left:${(100 * ms) / whole}%` });
		if (isOtherAxis([whole, ticks.length, axisWidth].join())) {
			// No label that would stick out at the end.
			const labels = ticks.filter((tick) => (1 - tick / whole) * axisWidth > 34);
			fill(axisHead, ...labels.map((tick) => h("span.tick", style(tick), tickLabel(tick))));
			fill(grid, ...ticks.slice(1).map((tick) => h("span.tick-line", style(tick))));
		}
	}

	function drawRows(list, axis, now) {
		const size = Math.min(ROWS_IN_SIGHT + 2 * SPARE_ROWS, length);
		const first = Math.max(Math.min(Math.floor(store.scrollTop / ROW_HEIGHT) - SPARE_ROWS, length - size), 0);
		while (lines.length < size) lines.push(makeLine());
		for (const line of lines.splice(size)) line.el.remove();
		let active = null;
		for (let index = first; index < first + size; index += 1) {
			const item = list[index];
			const line = lines[index % size];
			const isSelected = item.key === store.selected;
			const rowId = `${id}-${item.key}`;
			line.draw(item, index, isSelected, axis, now, rowId);
			if (!line.el.isConnected) canvas.append(line.el);
			if (isSelected) active = rowId;
		}
		set(table, { "aria-activedescendant": active });
	}

	function onclick({ target }) {
		const item = store.list[target.closest(".nbf-row")?.dataset.index];
		if (!item) return;
		if (item.more) store.fold(item.row, true);
		else if (item.fold && target.closest(".nbf-twisty")) store.fold(item.row, item.fold !== "open");
		else {
			store.select(item.key);
			store.showDetail(item.key);
		}
	}

	function onkeydown(event) {
		if (event.ctrlKey || event.metaKey || event.altKey) return;
		const { list } = store;
		const at = list.findIndex(({ key }) => key === store.selected);
		const [page, last] = [ROWS_IN_SIGHT - 1, list.length - 1];
		const moves = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: last };
		if (event.key in moves) move(Math.max(Math.min(moves[event.key], last), 0));
		else if (event.key === "/") search.focus();
		else if (event.key === "Escape" && store.detailRow !== null) store.showDetail(null);
		else if (event.key === "Escape") (table.closest(".jp-Cell") ?? table).focus();
		else if (at >= 0 && ["ArrowLeft", "ArrowRight", "Enter", " "].includes(event.key)) act(event.key, list[at], at);
		else if (event.key.length === 1) seek(event, list, at);
		else return;
		event.preventDefault();
	}

	function onsearch(event) {
		if (event.key === "Escape" && search.value) store.setFilter(store.filter, search.value = "");
		else if (["Escape", "Enter", "ArrowDown"].includes(event.key)) {
			table.focus();
			if (event.key !== "Escape") move(0);
		} else return;
		event.preventDefault();
	}

	/** Go on to the next row whose name begins with what was typed. */
	function seek({ key, timeStamp }, list, at) {
		typed = (timeStamp - typedAt < 800 ? typed : "") + key.toLowerCase();
		typedAt = timeStamp;
		const from = typed.length > 1 ? Math.max(at, 0) : at + 1;
		const isIt = ({ row, more }) => !more && row.name.toLowerCase().startsWith(typed);
		const after = list.slice(from).findIndex(isIt);
		move(after < 0 ? list.findIndex(isIt) : from + after);
	}

	function move(place) {
		const item = store.list[place];
		if (!item) return;
		store.select(item.key);
		clearTimeout(pause); // details follow when the selection rests
		if (store.detailRow !== null && !item.more) pause = setTimeout(() => store.showDetail(item.key), 120);
	}

	function act(key, { row, fold, depth, more }, at) {
		const isOpen = fold === "open" || fold === "some";
		if (key === "ArrowLeft" && isOpen) store.fold(row, false);
		else if (key === "ArrowLeft") move(store.list.findLastIndex((each, index) => index < at && each.depth < depth));
		else if (more || (key === "ArrowRight" && fold && fold !== "open")) store.fold(row, true);
		else if (key === "ArrowRight") move(isOpen ? at + 1 : at);
		else {
			store.showDetail(row.id);
			if (key === "Enter") part.onenter();
		}
	}
	return part;
}

/** The element of a row; used again for another one when the tree is scrolled. */
function makeLine() {
	const cell = (name, ...parts) => h(`span.${name}`, { role: "gridcell" }, parts);
	const [sign, name, tags, text, share] = [icon(), h("span.name"), h("span.tags"), h("span.text"), h("span")];
	const meter = h("span.meter", share);
	const [status, time, bars] = [cell("status"), cell("time"), cell("bars")];
	const lead = h("span.lead", h("span.twisty", { "aria-hidden": true }), sign, name, tags);
	const el = h("div.row", { role: "row" }, cell("step", lead, meter, text), status, time, bars);
	const [isOtherRow, isOtherKey] = [watch(), watch()];

	/** @param {Item} item */
	function draw({ row, depth, fold, more }, index, isSelected, axis, now, id) {
		// What has an outcome stays as it is; what has none ticks.
		const pulse = isOver(row.status) ? 0 : Math.floor(now / 500);
		const isSame = !isOtherKey([index, depth, fold, more, isSelected, axis.start, axis.end, pulse].join());
		if (!isOtherRow(row) && isSame) return;
		set(el, {
			id, "aria-rowindex": index + 2, "aria-level": depth, "aria-selected": String(isSelected),
			"aria-expanded": fold && String(fold !== "closed"),
			"data-index": index, "data-fold": fold ?? "", "data-more": more > 0, "data-status": more ? "" : row.status,
			style: `transform:translateY(${index * ROW_HEIGHT}px);--nbf-depth:${Math.min(depth - 1, 12)}`,
		});
		meter.hidden = more || !row.counts;
		if (!more) drawRow(row, axis, now);
		else {
			say(name, `${count(more)} more`);
			for (const each of [tags, text, status, time, bars]) fill(each);
		}
	}

	function drawRow(row, { start, length }, now) {
		const { attempt, counts, kind, flags } = row;
		setIcon(sign, row.status);
		say(name, row.name, 200);
		const words = [kind !== "run" && kind, attempt > 1 && `attempt ${attempt}`, flags.includes("s") && "stale"].filter(Boolean);
		if (words.join("") !== tags.textContent) fill(tags, ...words.map((word) => h("span.tag", word)));
		say(status, statusWords(row, now));
		say(time, timeOf(row, now));
		say(text, listed(counts && drawMeter(counts), row.text));
		el.title = `${name.textContent}\n${text.textContent}`;
		for (const element of [status, text, meter]) set(element, { "data-tone": mark(row.status)[1] });
		const found = barsOf(row, now);
		const place = (ms) => Math.min(Math.max((100 * (ms - start)) / length, 0), 100);
		while (bars.childElementCount > found.length) bars.lastChild.remove();
		while (bars.childElementCount < found.length) bars.append(h("span"));
		found.forEach(([letter, from, to, tone], index) => {
			const style = `left:${place(from)}%;width:${place(to) - place(from)}%`;
			set(bars.children[index], { class: `nbf-bar nbf-${letter}`, "data-tone": tone, style });
		});
	}

	/** The bar of what counts; returns it in words. */
	function drawMeter(counts) {
		const bad = counts[1];
		const done = counts[0] + bad;
		const known = counts[4] || sum(counts);
		share.style.width = `${Math.min((100 * done) / (known || 1), 100)}%`;
		return listed(done === known ? count(done) : `${count(done)}/${count(known)}`, bad && `${count(bad)} failed`);
	}
	return { el, draw };
}

function makeDetails(store) {
	const [title, sign, body] = [h("h3", { tabindex: -1 }), icon(), h("div")];
	const close = button("✕", () => store.showDetail(null), ".quiet", { "aria-label": "Close the details" });
	const part = { draw, mustFocus: false, onleave: null };
	const [isOtherRow, isOtherDetail] = [watch(null), watch()];
	const onkeydown = (event) => event.key === "Escape" && part.onleave();
	part.el = h("aside.details", { "aria-label": "Details", onkeydown }, h("div.detail-title", sign, title, close), body);

	function draw() {
		const { detailRow: id, detail, head } = store;
		part.el.hidden = id === null;
		if (part.mustFocus) title.focus({ preventScroll: true });
		part.mustFocus = false;
		const isSame = !isOtherDetail(detail);
		if (isOtherRow(id)) part.el.scrollTop = 0;
		else if (isSame) return;
		if (id === null) return;
		const known = detail ?? store.rows.get(id) ?? head;
		say(title, known.title ?? known.name ?? head.workflow, 500);
		setIcon(sign, known.status);
		fill(body, ...(detail ? sections(detail) : [h("p.soft", "loading…")]));
	}
	return part;
}

function sections({ status, facts, run_id: started, error, result, input, attempts, log, snippet }) {
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

/** The last line of the log; all of it is in the details of the run. */
function makeLog(store) {
	const [level, text] = [h("b"), h("span.soft")];
	const el = button("", () => store.showDetail(0), ".log");
	fill(el, level, text);

	function draw() {
		const [time, word, said] = store.lastLog ?? [];
		el.hidden = !said;
		set(el, { "data-level": word });
		say(level, word ? `Log ${word} ` : "");
		say(text, time ? `${clock(time)}  ${said}` : "", 200);
	}
	return { el, draw };
}

/** One display of a run. */
function makeView(store) {
	const parts = [makeHeader, makeQuestions, makeTree, makeDetails, makeLog].map((make) => make(store));
	const [header, questions, tree, details, log] = parts;
	const announcer = h("div.unseen", { "aria-live": "polite" });
	const view = { schedule, remove };
	let [frame, announcedAt, hasPointer, hasFocus] = [0, 0, false, false];
	const el = view.el = h("section.run", {
		// JupyterLab would take keys for commands: "b" inserts a cell. Saving goes on.
		onkeydown: (event) => (event.ctrlKey || event.metaKey) && event.key === "s" ? null : event.stopPropagation(),
		onpointerenter: () => hold(true, hasFocus),
		onpointerleave: () => hold(false, hasFocus),
	}, header.el, questions.el, h("div.body", tree.el, details.el), log.el, announcer);
	el.addEventListener("focusin", () => hold(hasPointer, true));
	el.addEventListener("focusout", ({ relatedTarget }) => hold(hasPointer, el.contains(relatedTarget)));
	tree.onenter = () => { details.mustFocus = true; };
	details.onleave = () => tree.table.focus();
	const onTab = () => store.note(view, {});
	document.addEventListener("visibilitychange", onTab);
	const watchers = [
		new IntersectionObserver((seen) => store.note(view, { isVisible: seen.at(-1).isIntersecting })),
		new ResizeObserver(() => {
			measure();
			schedule();
		}),
	];
	for (const watcher of watchers) watcher.observe(el);

	function hold(pointer, focus) {
		[hasPointer, hasFocus] = [pointer, focus];
		store.note(view, { isHeld: pointer || focus });
	}

	function remove() {
		store.detach(view);
		cancelAnimationFrame(frame);
		document.removeEventListener("visibilitychange", onTab);
		for (const watcher of watchers) watcher.disconnect();
		el.remove();
	}

	/** Draw in the next frame; a hidden tab has none until it is seen again. */
	function schedule() {
		frame ||= requestAnimationFrame(() => {
			frame = 0;
			if (el.isConnected) draw();
		});
	}

	function measure() {
		const width = el.clientWidth;
		el.dataset.size = width < 560 ? "narrow" : width < 960 ? "middle" : "wide";
		tree.measure();
	}

	function draw() {
		const { head } = store;
		el.hidden = !head;
		if (!head) return;
		const hasDetails = String(store.detailRow !== null);
		const hasMoved = hasDetails !== el.dataset.details;
		set(el, {
			"aria-label": `Run ${plain(head.run_id)} of ${plain(head.workflow)}`,
			"data-status": head.status, "data-deaf": store.isDeaf, "data-details": hasDetails,
		});
		if (hasMoved) measure();
		for (const part of parts) part.draw();
		store.mustReveal = false;
		announce(head);
	}

	/** What a screen reader says: every few seconds, and at the end. */
	function announce({ status, questions: asked }) {
		const { done, total, bad } = store.progress();
		const said = listed(mark(status)[0], `${count(done)} of ${plural(total, "step")}`, bad && `${count(bad)} failed`,
			asked.length > 0 && `${plural(asked.length, "question")} to answer`);
		if (Date.now() - announcedAt < ANNOUNCE_EVERY && !isOver(status)) return;
		if (said !== announcer.textContent) announcedAt = Date.now();
		say(announcer, said);
	}
	return view;
}

const PICTURED = 200; // rows
const PICTURE_STYLE = "&{font:var(--jp-ui-font-size1,13px)/1.45 var(--jp-ui-font-family,system-ui)}& table{border-collapse:collapse;margin:2px 0;width:100%}& :is(th,td){padding:1px 16px 1px 0;border:0;text-align:left;vertical-align:top;white-space:nowrap;background:none}& :is(th,td):last-child{width:100%;white-space:normal;overflow-wrap:anywhere}& th{font-weight:400}& :is(th,.n-dim){color:var(--jp-ui-font-color2,GrayText)}& .n-bad{color:var(--jp-error-color1,CanvasText)}& .n-busy{color:var(--jp-brand-color1,LinkText)}& .n-warn{color:var(--jp-warn-color1,CanvasText)}";

/** The run as HTML that needs no script, and in a line; null: nothing is known of it. */
function pictureOf({ head, list, now }, remark) {
	if (!head) return null;
	const tinted = (status, words) => h("span", { class: `n-${mark(status)[1]}` }, words);
	const lines = list.slice(0, PICTURED).map(({ row, depth, more }) => {
		const cells = more ? [`${count(more)} more`] : [h("code", row.name), tinted(row.status, statusWords(row, now)), timeOf(row, now), row.text];
		return h("tr", cells.map((each, column) => h("td", column ? "" : "\u2003".repeat(depth - 1), each)));
	});
	const left = list.length - lines.length;
	const style = h("style", PICTURE_STYLE.replaceAll("&", ".nbflow-run".repeat(3)));
	const said = [isOver(head.status) ? "" : remark, ...head.waiting];
	const words = ["step", "status", "time", "result or error"].map((word) => h("th", word));
	const facts = listed(timeOf(head, now), ...said);
	const html = h("div", { class: "nbflow-run" }, style,
		h("p", tinted(head.status, mark(head.status)[0]), " ", h("b", head.workflow), " ", h("code", head.run_id), ` ${facts}`),
		head.error && h("p", { class: "n-bad" }, head.error), head.text && h("p", head.text),
		lines.length > 0 && h("table", h("tr", words), lines), left > 0 && h("p", `${count(left)} more`)).outerHTML;
	return { html, text: plain(`nbflow run ${head.run_id} ${head.workflow}: ${listed(mark(head.status)[0], facts)}`) };
}

/** The module is loaded once per model; this makes the model's store. */
export default () => {
	const store = new Store();
	return {
		initialize({ model }) {
			store.connect(model);
		},
		render({ el }) {
			const view = makeView(store);
			el.append(view.el);
			store.attach(view);
			view.schedule();
			return view.remove;
		},
	};
};
