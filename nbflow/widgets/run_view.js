/**
 * The live view of one run: the browser's half of `protocol.py`, for anywidget.
 *
 * `Store` keeps what the kernel has told (head, rows, log) and what the user has chosen
 * (folds, filter, selection), one per model; a `View` draws it, as often as the model is
 * displayed. Nothing of a run is ever taken as markup: texts become text nodes (`h`).
 *
 * @typedef {{id: number, parent: number, kind: string, name: string, status: string,
 *   attempt: number, queued?: number, started?: number, ended?: number, due?: number,
 *   text: string, flags: string, spans?: Array<[string, number, number]>,
 *   counts?: Array<number|null>, run?: string}} Row  see `ROW` in protocol.py
 * @typedef {{row: Row, key: number, depth: number, fold: string|null, more: number}} Item
 *   a line of the tree; `more` > 0: it stands for so many rows of `row` that are not shown
 */

const ROW_HEIGHT = 24; // px, as in the style sheet
const ROWS_IN_SIGHT = 16;
const SPARE_ROWS = 4; // above and below those in sight
const FOLD_FROM = 20; // with more children than this a row begins folded
const FAILED_SHOWN = 5; // failed children that show under a folded row
const BUTTONS_MOST = 8; // choices that are buttons; more are a list
const LOG_LINES = 200;
const BUSY_AFTER = 2000; // ms without an answer
const RESYNC_EVERY = 500;
const ANNOUNCE_EVERY = 5000;

// Words and times ---------------------------------------------------------------------

/** Word, tone and shape (a path in a box of 16) of each status; words as in `nbflow.view`. */
export const MARKS = {
  queued: ["queued", "dim", "M7.9 8h.2"],
  running: ["running", "busy", "M5 3.5v9l7.5-4.5z"],
  retrying: ["retrying", "warn", "M12.8 8A4.8 4.8 0 1 1 11.2 4.4M11.6 1.8v3h-3"],
  sleeping: ["sleeping", "rest", "M8 2.5a5.5 5.5 0 1 0 .01 0M8 5v3.2l2.2 1.4"],
  waiting: ["waiting", "warn", "M4 2.5h8M4 13.5h8M5 2.5c0 4 6 4 6 11M11 2.5c0 4-6 4-6 11"],
  invoking: ["invoking", "busy", "M4 2.5v6h8M9 5.5l3 3-3 3"],
  completed: ["completed", "good", "M3 8.5l3.3 3.3L13 4.7"],
  failed: ["failed", "bad", "M4 4l8 8M12 4l-8 8"],
  timed_out: ["timed out", "bad", "M4 4l8 8M12 4l-8 8"],
  canceled: ["canceled", "dim", "M8 2.5a5.5 5.5 0 1 0 .01 0M4.2 11.8l7.6-7.6"],
  skipped: ["skipped", "dim", "M3.5 4l4 4-4 4M8.5 4l4 4-4 4"],
};
const mark = (status) => MARKS[status] ?? [status, "dim", ""];
const BAD = ["failed", "timed_out"];
const OVER = [...BAD, "completed", "canceled", "skipped"];
const BUSY = ["running", "retrying", "sleeping", "waiting", "invoking"];
const isFailed = (status) => BAD.includes(status);
const isOver = (status) => OVER.includes(status);
const FILTERS = {
  all: () => true,
  running: ({ status }) => BUSY.includes(status),
  failed: ({ status }) => isFailed(status),
};
const KIND_WORDS = {
  sleep: "sleep", wait: "event", ask: "question", send: "send", invoke: "run", start: "start", map: "map", group: "group",
};

const count = (number) => number.toLocaleString("en-US");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const listed = (...parts) => parts.filter(Boolean).join(" · ");
const sum = (numbers) => numbers.reduce((total, each) => total + (each ?? 0), 0);

// Controls, and what turns the direction of the text around it.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A text as it can be shown, at most `limit` characters of it. */
export function plain(text, limit = 400) {
  const whole = String(text ?? "");
  return (whole.length > limit ? `${whole.slice(0, limit - 1)}…` : whole).replace(UNSAFE, "");
}

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** "250 ms", "1.2 s", "3 min 05 s"; as `nbflow.durations.show`. */
export function duration(ms) {
  if (!(ms >= 0)) return "0 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${Number((ms / SECOND).toFixed(1))} s`;
  const [large, unit, small, part] =
    ms < HOUR - 50 ? [MINUTE, "min", SECOND, "s"] : ms < DAY - 50 ? [HOUR, "h", MINUTE, "min"] : [DAY, "d", HOUR, "h"];
  const rest = Math.floor(((ms + 50) % large) / small);
  return `${Math.floor((ms + 50) / large)} ${unit} ${String(rest).padStart(2, "0")} ${part}`;
}

/** How long something has been going on, in whole seconds: calm to watch. */
const elapsed = (ms) => (ms < SECOND ? "0 s" : duration(Math.floor(ms / SECOND) * SECOND));

/** "in 4 s"; nothing once it is due. */
const until = (due, now) => (due > now ? `in ${duration(Math.ceil((due - now) / SECOND) * SECOND)}` : "");

const clock = (time) => new Date(time).toTimeString().slice(0, 8);

/** The status of a row in words, with what there is to count down. */
export function statusWords({ status, due, flags }, now) {
  const left = until(due, now);
  if (status === "retrying" && left) return `retry ${left}`;
  if (status === "sleeping" && left) return `wakes ${left}`;
  if (status === "queued" && flags.includes("p")) return "in queue";
  if (status === "completed" && flags.includes("c")) return "cached";
  if (status === "completed" && flags.includes("k")) return "kept";
  return mark(status)[0];
}

const timeOf = ({ started, queued, ended }, now) =>
  started != null ? (ended == null ? elapsed(now - started) : duration(ended - started))
    : queued != null && ended == null ? elapsed(now - queued) : "";

// Rows, their bars, the time axis -----------------------------------------------------

/** @returns {Row} */
export function decodeRow(list) {
  const [id, parent, kind, name, status, attempt, queued, started, ended, due, text, flags, spans, counts, run] = list;
  return {
    id, parent: parent ?? 0, kind, name: name ?? "", status, attempt: attempt ?? 0, queued, started, ended, due,
    text: text ?? "", flags: flags ?? "", spans, counts, run,
  };
}

const holdsOthers = ({ kind }) => kind === "map" || kind === "group";
const LETTER_OF_STATUS = { queued: "q", running: "r", retrying: "b", sleeping: "s", waiting: "w", invoking: "i" };
const LETTER_OF_KIND = { sleep: "s", wait: "w", ask: "w", invoke: "i" };

/**
 * What a row did when: `[letter, from, to, tone]`. Letters as in `ROW`; "e" is the extent
 * of what holds others, "f" what lies ahead.
 */
export function barsOf(row, now) {
  const { status, queued, started, spans, due } = row;
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
  if (!isOver(status) && due > now) bars.push(["f", now, due, "dim"]);
  return bars;
}

const TICK_STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500], ...[1, 2, 5, 10, 15, 30].map((each) => each * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((each) => each * MINUTE), ...[1, 2, 3, 6, 12].map((each) => each * HOUR),
  ...[1, 2, 7, 30, 365].map((each) => each * DAY),
];

/**
 * The time axis of a run that has taken `length` ms. While it lasts, the end is ahead by
 * up to half a step, so that bars do not shrink with every second.
 */
export function timeAxis(start, length, isLive, most = 5) {
  const span = Math.max(length, isLive ? 4 * SECOND : 4);
  const step = TICK_STEPS.find((each) => span / each <= most) ?? Math.ceil(span / most / DAY) * DAY;
  const whole = isLive ? Math.ceil(span / (step / 2)) * (step / 2) : span;
  const ticks = Array.from({ length: Math.floor(whole / step) + 1 }, (_, index) => index * step);
  return { start, end: start + whole, length: whole, ticks };
}

/** "0", "200 ms", "30 s", "1:30 min", "2 h", "1 d" */
export function tickLabel(ms) {
  const [large, unit, small] = ms < HOUR ? [MINUTE, "min", SECOND] : [HOUR, "h", MINUTE];
  if (ms < MINUTE) return ms === 0 ? "0" : ms < SECOND ? `${ms} ms` : `${ms / SECOND} s`;
  if (ms >= DAY) return `${Number((ms / DAY).toFixed(1))} d`;
  const rest = (ms % large) / small;
  return `${Math.floor(ms / large)}${rest ? `:${String(rest).padStart(2, "0")}` : ""} ${unit}`;
}

// The store ---------------------------------------------------------------------------

class Store {
  head = null;
  /** @type {Map<number, Row>} */
  rows = new Map();
  children = new Map(); // ids by parent, in order
  failed = new Set();
  maps = new Set();
  log = [];
  questions = "[]"; // as JSON: the forms are made anew only when it changes

  folds = new Map(); // what the user did: open, some (the failed ones), closed
  filter = "all";
  query = "";
  selected = 0; // key of an item
  mustReveal = false; // it is to be brought into sight
  follows = true; // the tree keeps what runs in sight, until the user takes over
  scrollTop = 0;
  isLogOpen = false;
  drafts = new Map(); // answers that were begun, by row
  refusals = new Map(); // what was wrong with an answer, by row

  detailRow = null; // the row whose details are shown; 0: the run
  detail = null;
  plan = null; // null, "asked", or what the kernel said
  notice = null; // {tone, text}
  commands = new Map(); // under way: {name, row, isAccepted} by number
  isDisconnected = false;
  farewell = null;

  #model = null;
  #seq = 0;
  #missing = 0; // the first number that is missing; 0: none is
  #resync = { at: 0, wait: RESYNC_EVERY };
  #offset = null; // ms from the kernel's clock to the browser's
  #lastHeard = 0;
  #slowAt = 0;
  #lastCommand = 0;
  #reopened = new Set();
  #detailAsked = { at: 0, isOld: false };
  #noticeTimer = 0;
  #ticker = 0;
  #list = null;
  #views = new Map(); // {isVisible, isHeld} by view
  #said = { vis: true, hold: false };

  /** Follow a model; returns what ends that. */
  connect(model) {
    const listeners = {
      "msg:custom": (message) => this.receive(message),
      "change:snapshot": () => this.#load(model.get("snapshot")),
      comm_live_update: () => this.#disconnect(), // the kernel is another one
    };
    this.#model = model;
    for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
    this.#load(model.get("snapshot"));
    return () => {
      for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
      clearInterval(this.#ticker);
    };
  }

  get isLive() {
    return this.head !== null && !isOver(this.head.status) && !this.isDisconnected;
  }

  /** Whether nothing can be asked of the kernel. */
  get isDeaf() {
    return this.isDisconnected || this.farewell !== null;
  }

  /** The kernel's time; without a kernel, when it was last heard. */
  get now() {
    return this.isDisconnected ? this.#lastHeard : Date.now() - (this.#offset ?? 0);
  }

  // Views

  attach(view) {
    this.#views.set(view, { isVisible: true, isHeld: false });
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

  /** Tell that a view came into sight or left it, or that pointer or focus are in it. */
  note(view, change) {
    Object.assign(this.#views.get(view) ?? {}, change);
    const views = [...this.#views.values()];
    const said = {
      vis: views.some(({ isVisible }) => isVisible) && !document.hidden,
      hold: views.some(({ isHeld }) => isHeld),
    };
    for (const [t, on] of Object.entries(said)) if (on !== this.#said[t]) this.send({ t, on });
    this.#said = said;
  }

  /** Have all views drawn in the next frame. */
  draw() {
    for (const view of this.#views.keys()) view.schedule();
  }

  #tick() {
    if (this.#missing) this.#askAgain();
    if (this.#detailAsked.isOld) this.#askDetail();
    if (this.isLive) this.draw();
  }

  // Kernel to browser

  receive(message) {
    if (this.isDisconnected) this.#say(null);
    this.isDisconnected = false;
    if (message.t === "d") this.#takeDelta(message);
    else if (message.t === "s") this.#load(message.snapshot);
    else if (message.t === "ack") this.#takeAck(message);
    else if (message.t === "bye") this.farewell = plain(message.reason) || "closed";
    else if (message.t === "p") this.#takePlan(message);
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
    this.#resync.wait = RESYNC_EVERY;
    for (const known of [this.rows, this.children, this.failed, this.maps]) known.clear();
    this.#list = null;
    for (const list of snapshot.rows) this.#takeRow(list);
    this.log = snapshot.log.slice(-LOG_LINES);
    this.#takeHead(snapshot.head);
    this.draw();
  }

  #takeDelta({ seq, now, rows, head, log }) {
    if (seq <= this.#seq) return;
    if (seq > this.#seq + 1) this.#missing ||= this.#seq + 1;
    // Rows are whole: what has come is right, whatever is missing before it.
    this.#seq = seq;
    this.#hear(now);
    for (const list of rows) this.#takeRow(list);
    if (log?.length) this.log = [...this.log, ...log].slice(-LOG_LINES);
    if (head) this.#takeHead(head);
    if (this.#missing) this.#askAgain();
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
    for (const [cmd, { name }] of this.commands) {
      if (name === "answer" ? !head.questions.length : !head.can.includes(name)) this.commands.delete(cmd);
    }
    if (!head.can.includes("resume")) this.plan = null;
    this.head = head;
    this.questions = JSON.stringify(head.questions);
    for (const known of [this.drafts, this.refusals]) {
      for (const row of known.keys()) if (!head.questions.some((each) => each.row === row)) known.delete(row);
    }
    if (this.detailRow === 0) this.#detailAsked.isOld = true;
  }

  #takeRow(list) {
    if (list.length === 1) return this.#dropRow(list[0]);
    const row = decodeRow(list);
    const old = this.rows.get(row.id);
    this.rows.set(row.id, row);
    if (old?.parent !== row.parent) {
      if (old) this.#unlink(old);
      this.#link(row);
    }
    if (row.kind === "map") this.maps.add(row.id);
    if (isFailed(row.status) !== this.failed.has(row.id)) {
      if (this.failed.delete(row.id) === false) this.#noteFailed(row);
      this.#list = null;
    }
    const isFiltered = this.filter !== "all" || this.query;
    if ((isFiltered && old?.status !== row.status) || old?.flags !== row.flags) this.#list = null;
    if (row.id === this.detailRow) this.#detailAsked.isOld = true;
    return undefined;
  }

  /** Forget a row and what is under it. */
  #dropRow(id) {
    for (const child of [...(this.children.get(id) ?? [])]) this.#dropRow(child);
    if (this.rows.has(id)) this.#unlink(this.rows.get(id));
    for (const known of [this.rows, this.children, this.failed, this.maps]) known.delete(id);
  }

  #link({ id, parent }) {
    const ids = this.children.get(parent) ?? [];
    let place = ids.length;
    while (place > 0 && ids[place - 1] > id) place -= 1;
    ids.splice(place, 0, id);
    this.children.set(parent, ids);
    this.#list = null;
  }

  #unlink({ id, parent }) {
    const ids = this.children.get(parent) ?? [];
    if (ids.includes(id)) ids.splice(ids.indexOf(id), 1);
    this.#list = null;
  }

  /** A failure shows itself once, even where the user has folded what holds it. */
  #noteFailed(row) {
    this.failed.add(row.id);
    for (let id = row.parent; id; id = this.rows.get(id)?.parent) {
      if (this.folds.get(id) === "closed" && !this.#reopened.has(id)) this.folds.set(id, "some");
      this.#reopened.add(id);
    }
  }

  #takePlan(plan) {
    if (this.plan) this.plan = plan;
    if (this.notice?.isBusy) this.#say(null);
  }

  #takeAck({ cmd, ok, text, problems }) {
    const command = this.commands.get(cmd);
    if (this.notice?.isBusy) this.#say(null);
    if (command?.name === "answer" && !ok) this.refusals.set(command.row, { text, problems: problems ?? {} });
    else if (text && command?.name !== "answer") this.#say({ tone: ok ? "good" : "bad", text }, ok ? 8 * SECOND : 0);
    // What was accepted stays under way until the head shows it.
    if (command && ok && command.name !== "rerun") command.isAccepted = true;
    else this.commands.delete(cmd);
  }

  #disconnect() {
    this.isDisconnected = true;
    this.commands.clear();
    this.plan = null;
    this.#say({ tone: "warn", text: "disconnected: the kernel was restarted; run the cell again to go on" });
  }

  // Browser to kernel

  send(message) {
    if (!this.isDeaf) this.#model.send(message);
  }

  /** Send a command; the answer to it is `ack`. */
  command(name, fields = {}) {
    const cmd = (this.#lastCommand += 1);
    this.commands.set(cmd, { name, row: fields.row, isAccepted: false });
    this.send({ t: name, cmd, ...fields });
    this.#expect(() => this.commands.get(cmd)?.isAccepted === false);
    this.draw();
  }

  /** Whether a command, or the answer for a row, is under way. */
  isUnderWay(name, row) {
    return [...this.commands.values()].some((each) => each.name === name && each.row === row);
  }

  askPlan() {
    this.plan = "asked";
    this.send({ t: "plan" });
    this.#expect(() => this.plan === "asked");
    this.draw();
  }

  dropPlan() {
    this.plan = null;
    this.draw();
  }

  #expect(isMissing) {
    const busy = { tone: "warn", text: "kernel busy — use the stop button", isBusy: true };
    setTimeout(() => isMissing() && this.#say(busy), BUSY_AFTER);
  }

  #say(notice, forMs = 0) {
    clearTimeout(this.#noticeTimer);
    this.notice = notice;
    if (forMs) this.#noticeTimer = setTimeout(() => this.#say(null), forMs);
    this.draw();
  }

  #askAgain() {
    const { at, wait } = this.#resync;
    if (Date.now() - at < wait) return;
    this.#resync = { at: Date.now(), wait: Math.min(wait * 2, 30 * SECOND) };
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
    this.#detailAsked.isOld = false;
    if (row !== null) this.send({ t: "detail", row });
  }

  // What is shown

  setFilter(filter, query) {
    Object.assign(this, { filter, query: query.toLowerCase(), scrollTop: 0 });
    this.redrawList();
  }

  redrawList() {
    this.#list = null;
    this.draw();
  }

  /** How a row is folded: open, some (its failed children show), closed; null: it holds nothing. */
  foldOf({ id, flags }) {
    const held = this.children.get(id)?.length ?? 0;
    const isLazy = flags.includes("l");
    if (!held && !isLazy) return null;
    return this.folds.get(id) ?? (isLazy || held > FOLD_FROM ? "some" : "open");
  }

  fold(row, isOpen) {
    this.folds.set(row.id, isOpen ? "open" : "closed");
    if (row.flags.includes("l")) this.send({ t: "open", row: row.id, on: isOpen });
    this.redrawList();
  }

  foldAll(isOpen) {
    for (const row of this.rows.values()) {
      if (!row.flags.includes("l") && this.foldOf(row)) this.folds.set(row.id, isOpen ? "open" : "closed");
    }
    this.redrawList();
  }

  /** The first row that failed by itself, not by what it holds; 0: none. */
  firstFailed() {
    const above = new Set([...this.failed].map((id) => this.rows.get(id).parent));
    const own = [...this.failed].filter((id) => !above.has(id));
    return own.reduce((first, id) => Math.min(first, id), own[0] ?? 0);
  }

  /** Show a row, whatever is folded or filtered, and its details. */
  reveal(id) {
    if (this.filter !== "all" || this.query) this.setFilter("all", "");
    for (let above = this.rows.get(id)?.parent; above; above = this.rows.get(above)?.parent) {
      if (this.foldOf(this.rows.get(above)) === "closed") this.folds.set(above, "some");
    }
    this.#list = null;
    this.select(id);
    this.showDetail(id);
  }

  select(key) {
    Object.assign(this, { selected: key, follows: false, mustReveal: true });
    this.draw();
  }

  /** The lines of the tree; made anew when structure, folds or filter change. @returns {Item[]} */
  get list() {
    this.#list ??= this.#flatten();
    return this.#list;
  }

  #flatten() {
    const wanted = this.filter === "all" && !this.query ? null : this.#withAbove(this.#matching());
    const troubled = this.#withAbove(this.failed);
    const items = [];
    const heldBy = (id) => this.children.get(id) ?? [];
    const add = (id, depth) => {
      const row = this.rows.get(id);
      const item = { row, key: id, depth, fold: this.foldOf(row), more: 0 };
      items.push(item);
      return item;
    };
    const walk = (parent, depth) => {
      for (const id of heldBy(parent)) {
        if (wanted && !wanted.has(id)) continue;
        const item = add(id, depth);
        if (wanted && item.fold) item.fold = heldBy(id).some((child) => wanted.has(child)) ? "open" : "closed";
        if (item.fold === "open") walk(id, depth + 1);
        else if (item.fold === "some") walkFailed(item);
      }
    };
    const walkFailed = (item) => {
      const { row, depth } = item;
      const shown = heldBy(row.id).filter((id) => troubled.has(id)).slice(0, FAILED_SHOWN);
      if (!shown.length) item.fold = "closed";
      for (const id of shown) {
        const inner = add(id, depth + 1);
        if (inner.fold && inner.fold !== "closed") walkFailed(inner);
      }
      const all = Math.max(heldBy(row.id).length, holdsOthers(row) && row.counts ? sum(row.counts.slice(0, 4)) : 0);
      const more = all - shown.length;
      if (shown.length && more) items.push({ row, key: -row.id, depth: depth + 1, fold: null, more });
    };
    walk(0, 1);
    return items;
  }

  *#matching() {
    for (const row of this.rows.values()) {
      // What holds others is found through them, unless it is looked for by its name.
      if (!this.query && holdsOthers(row) && this.children.get(row.id)?.length) continue;
      if (FILTERS[this.filter](row) && row.name.toLowerCase().includes(this.query)) yield row.id;
    }
  }

  #withAbove(ids) {
    const found = new Set();
    for (let id of ids) for (; id && !found.has(id); id = this.rows.get(id)?.parent) found.add(id);
    return found;
  }

  axis(most) {
    const { started, queued, ended } = this.head;
    const start = started ?? queued ?? this.now;
    return timeAxis(start, (ended ?? this.now) - start, ended == null, most);
  }

  /** Steps of the run: how many are over and how, and how many are known of. */
  progress() {
    const { counts } = this.head;
    const of = (names) => sum(names.map((name) => counts[name]));
    const ahead = [...this.maps].map((id) => this.rows.get(id).counts).filter((each) => each?.[4] != null)
      .map((each) => Math.max(each[4] - sum(each.slice(0, 4)), 0));
    return {
      bad: of(BAD), done: of(OVER), busy: of(BUSY), total: sum(Object.values(counts)) + sum(ahead),
      retrying: of(["retrying"]), waiting: of(["waiting"]), queued: of(["queued"]),
    };
  }
}

// Elements ----------------------------------------------------------------------------

/**
 * Make an element: `h("button.quiet", {onclick}, "Copy")`. Classes get the prefix `nbf-`;
 * of the properties `on…` are listeners, the others attributes; a string becomes a text.
 */
function h(what, ...parts) {
  const [tag, ...names] = what.split(".");
  const element = document.createElement(tag);
  if (names.length) element.className = names.map((name) => `nbf-${name}`).join(" ");
  for (const part of parts.flat()) {
    if (!part) continue;
    if (typeof part === "string") element.append(plain(part, 40_000));
    else if (part instanceof Node) element.append(part);
    else {
      for (const [name, value] of Object.entries(part)) {
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else setAttribute(element, name, value);
      }
    }
  }
  return element;
}

/** Replace what is in an element; false and null stand for nothing. */
const fill = (element, ...children) => element.replaceChildren(...children.filter(Boolean));

const button = (text, onclick, more = {}, kind = "") => h(`button.button${kind}`, { type: "button", onclick, ...more }, text);

/** Change only what is another: selections and screen readers stay calm. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (value == null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function icon(status) {
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  for (const [name, value] of Object.entries({ viewBox: "0 0 16 16", "aria-hidden": true, class: "nbf-icon" })) {
    svg.setAttribute(name, value);
  }
  svg.append(path);
  return status ? setIcon(svg, status) : svg;
}

function setIcon(svg, status) {
  const [, tone, path] = mark(status);
  svg.firstChild.setAttribute("d", path);
  Object.assign(svg.dataset, { tone, status });
  return svg;
}

/** A button that puts a text on the clipboard, and says so. */
function copyButton(text, what, label = "copy") {
  const made = button(label, async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // a page that is served without https
      const area = h("textarea.unseen", text);
      made.after(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    setText(made, "copied");
    setTimeout(() => setText(made, label), 1200);
  }, { "aria-label": `Copy ${what}`, title: `Copy ${what}` }, ".quiet");
  return made;
}

const newId = () => `nbf-${Math.random().toString(36).slice(2)}`;

/** Name and status of the run, what it has done, what can be done with it. */
class Header {
  constructor(store) {
    this.store = store;
    this.badge = h("span.badge", icon(), h("span"));
    this.name = h("button.run-name", { type: "button", title: "Details of the run", onclick: () => store.showDetail(0) });
    this.label = h("span.label");
    this.time = h("span.elapsed");
    this.id = h("span.run-id");
    const act = (name, kind) => button("", () => (name === "resume" ? store.askPlan() : store.command(name)), {}, kind);
    this.buttons = { cancel: act("cancel"), resume: act("resume", ".main"), rerun: act("rerun") };
    this.parts = ["good", "bad", "busy"].map((tone) => h("span", { "data-tone": tone }));
    this.bar = h("div.progress", { role: "progressbar", "aria-label": "steps", "aria-valuemin": 0 }, this.parts);
    this.counts = h("div.counts");
    this.lines = h("div.lines");
    this.notice = h("div.notice", { role: "status" });
    this.plan = h("div.plan", { role: "group", "aria-label": "Plan of the resume", hidden: true });
    this.el = h("header.header",
      h("div.title", this.badge, this.name, this.label, this.time, this.id, h("span.actions", Object.values(this.buttons))),
      this.bar, this.counts, this.lines, this.notice, this.plan);
  }

  draw() {
    const { head, notice } = this.store;
    const [word, tone] = mark(head.status);
    setIcon(this.badge.firstChild, head.status);
    setText(this.badge.lastChild, word);
    this.badge.dataset.tone = tone;
    setText(this.name, plain(head.workflow));
    setText(this.label, plain(head.label));
    setText(this.time, this.#time(head));
    if (this.id.title !== head.run_id) {
      this.id.title = head.run_id;
      fill(this.id, h("code", head.run_id), copyButton(head.run_id, "the run's id"));
    }
    this.#drawButtons(head);
    this.#drawProgress(head);
    this.#drawLines(head);
    this.#drawPlan();
    this.notice.hidden = !notice;
    setText(this.notice, plain(notice?.text));
    this.notice.dataset.tone = notice?.tone;
  }

  #time(head) {
    const left = until(head.due, this.store.now);
    if (left) return `${head.attempt > 1 ? `attempt ${head.attempt}` : "starts"} ${left}`;
    return `${head.started == null && head.queued != null ? "queued " : ""}${timeOf(head, this.store.now)}`;
  }

  #drawButtons(head) {
    const { store } = this;
    const words = { cancel: ["Cancel", "Canceling…"], resume: ["Resume…", "Resuming…"], rerun: ["Rerun", "Starting…"] };
    for (const [name, element] of Object.entries(this.buttons)) {
      const isUnderWay = store.isUnderWay(name);
      element.hidden = !head.can.includes(name);
      element.disabled = isUnderWay || store.isDeaf;
      setText(element, words[name][Number(isUnderWay)]);
    }
  }

  #drawProgress({ status, progress }) {
    const { bad, busy, done, total, retrying, waiting, queued } = this.store.progress();
    const [said, of, message] = progress ?? [];
    [done - bad, bad, busy].forEach((part, index) => {
      this.parts[index].style.width = `${(100 * part) / (total || 1)}%`;
      this.parts[index].hidden = !part;
    });
    const running = busy - retrying - waiting;
    const known = total ? (done === total ? plural(total, "step") : `${count(done)} of ${plural(total, "step")}`)
      : isOver(status) ? "no steps" : "no step yet";
    const live = isOver(status) ? [] : [
      running && `${count(running)} running`, retrying && `${count(retrying)} retrying`,
      waiting && `${count(waiting)} waiting`, queued && `${count(queued)} queued`,
    ];
    const own = progress && (of ? `${Math.round((100 * said) / of)} %` : String(said ?? ""));
    setText(this.counts, listed(known, bad && `${count(bad)} failed`, ...live, own, plain(message)));
    setAttribute(this.bar, "aria-valuemax", total);
    setAttribute(this.bar, "aria-valuenow", done);
    setAttribute(this.bar, "aria-valuetext", this.counts.textContent);
  }

  #drawLines({ status, error, text, waiting, engine }) {
    const { store } = this;
    const failed = store.failed.size > 0;
    const key = JSON.stringify([status, error, text, waiting, engine, store.farewell, failed]);
    if (key === this.linesKey) return;
    this.linesKey = key;
    const line = (tone, ...parts) => h("p", { "data-tone": tone }, parts);
    const show = () => store.reveal(store.firstFailed());
    fill(this.lines,
      error && line("bad", error, failed && button("show the step", show, {}, ".quiet")),
      text && line(null, h("span.soft", status === "completed" ? "result " : ""), text),
      ...waiting.map((each) => line("warn", each)),
      engine === "left" && line("warn", "The kernel that ran it is gone; resume it to go on."),
      store.farewell && line(null, store.farewell));
  }

  #drawPlan() {
    const { store } = this;
    const { plan } = store;
    if (plan === this.shownPlan || (!plan && this.plan.hidden)) return;
    this.shownPlan = plan;
    this.plan.hidden = !plan;
    const later = button("Not now", () => store.dropPlan());
    const resume = (text, stale, kind) => button(text, () => {
      store.dropPlan();
      store.command("resume", { stale });
    }, {}, kind);
    if (plan === "asked") fill(this.plan, h("p", "looking at what is to be done…"), later);
    if (!plan?.to_run) return;
    const stale = plan.stale.length;
    const start = resume("Resume", false, ".main");
    fill(this.plan, h("p", h("b", "Resume"), ` ${plan.text}`),
      plan.to_run.length > 0 && h("details", h("summary", "steps to run"), h("p", plan.to_run.join(", "))),
      h("p.actions", start, stale > 0 && resume(`Resume, ${count(stale)} stale afresh`, true), later));
    start.focus({ preventScroll: true });
  }
}

// Questions ---------------------------------------------------------------------------

/** The questions of `ctx.ask`; what the user has begun to fill in stays. */
class Questions {
  el = h("div");
  cards = new Map();

  constructor(store) {
    this.store = store;
  }

  draw() {
    const { store } = this;
    if (store.questions !== this.shown) {
      this.shown = store.questions;
      const old = this.cards;
      this.cards = new Map(store.head.questions.map((each) => {
        const key = JSON.stringify(each);
        return [key, old.get(key) ?? new Question(store, each)];
      }));
      fill(this.el, ...[...this.cards.values()].map((card) => card.el));
    }
    for (const card of this.cards.values()) card.draw();
  }
}

/** Buttons for a choice, a form for the rest. */
class Question {
  controls = [];
  fields = [];
  left = h("span.left");
  problem = h("p.problem", { role: "alert" });

  constructor(store, question) {
    Object.assign(this, { store, question, id: newId() });
    const schema = resolveSchema(question.schema, question.schema);
    const choices = choicesOf(schema);
    this.el = h("section.question", { role: "group", "aria-labelledby": this.id },
      h("p.asked", icon("waiting"), h("b", question.step), this.left), h("p.asked-text", { id: this.id }, question.text),
      choices && choices.length <= BUTTONS_MOST ? this.#choice(choices) : this.#form(schema), this.problem);
  }

  #choice(choices) {
    this.controls = choices.map(([value, word]) => button(word, () => this.#answer(value), {}, ".main"));
    return h("p.actions", this.controls);
  }

  #form(schema) {
    const { row } = this.question;
    const { properties, required = [] } = schema.type === "object" && schema.properties ? schema : { properties: null };
    const drafts = this.store.drafts.get(row) ?? {};
    this.store.drafts.set(row, drafts);
    this.fields = Object.entries(properties ?? { "": schema }).map(([name, each]) => {
      const inner = { ...resolveSchema(each, this.question.schema), title: each.title };
      return new Field(name, inner, !properties || required.includes(name), drafts, this.id);
    });
    this.controls = [h("button.button.main", { type: "submit" }, "Send")];
    return h(properties ? "form.form" : "form.form.single", {
      novalidate: "",
      onsubmit: (event) => {
        event.preventDefault();
        this.#submit(properties !== null);
      },
    }, this.fields.map((field) => field.el), h("p.actions", this.controls));
  }

  #submit(isObject) {
    const given = this.fields.map((field) => ({ field, ...field.read() }));
    for (const { field, problem } of given) field.show(problem);
    const wrong = given.find(({ problem }) => problem);
    if (wrong) wrong.field.input.focus();
    else if (!isObject) this.#answer(given[0].value ?? null);
    else this.#answer(Object.fromEntries(given.filter((each) => "value" in each).map(({ field, value }) => [field.name, value])));
  }

  #answer(value) {
    const { row } = this.question;
    this.store.refusals.delete(row);
    this.store.command("answer", { row, value });
  }

  draw() {
    const { store, question: { row, until: end } } = this;
    const isSent = store.isUnderWay("answer", row);
    for (const control of this.controls) control.disabled = isSent || store.isDeaf;
    const left = until(end, store.now);
    setText(this.left, isSent ? "sending the answer…" : left && `ends ${left}`);
    const refusal = store.refusals.get(row);
    this.problem.hidden = !refusal;
    if (refusal === this.refusal) return;
    this.refusal = refusal;
    setText(this.problem, plain(refusal?.text));
    for (const field of this.fields) field.show(refusal?.problems[field.name]);
  }
}

/** Follow `$ref`, and what pydantic wraps round a type: `allOf` of one, `anyOf` with null. */
function resolveSchema(schema, root, depth = 0) {
  if (depth > 20 || typeof schema !== "object" || schema === null) return {};
  const { $ref, allOf, anyOf, ...rest } = schema;
  const real = anyOf?.filter(({ type }) => type !== "null");
  let inner;
  if ($ref) inner = $ref.split("/").slice(1).reduce((at, part) => at?.[part], root);
  else if (allOf?.length === 1) [inner] = allOf;
  else if (real?.length === 1) [inner, rest.isOptional] = [real[0], anyOf.length > 1];
  else return schema;
  return { ...resolveSchema(inner, root, depth + 1), ...rest };
}

/** `[value, word]` of each choice; null: the schema leaves more than a choice. */
function choicesOf(schema) {
  const word = (value) => [value, typeof value === "string" ? value : JSON.stringify(value)];
  if ("const" in schema) return [word(schema.const)];
  return schema.type === "boolean" ? [[true, "Yes"], [false, "No"]] : schema.enum?.map(word) ?? null;
}

/** One field of a form: a control by its schema, and what is wrong with it. */
class Field {
  constructor(name, schema, isRequired, drafts, questionId) {
    Object.assign(this, { name, schema, isRequired: isRequired && !schema.isOptional, id: newId() });
    this.isTicked = schema.type === "boolean";
    this.choices = this.isTicked ? null : choicesOf(schema);
    this.input = this.#control();
    this.problem = h("span.problem", { id: `${this.id}-p`, hidden: true });
    const property = this.isTicked ? "checked" : "value";
    const start = drafts[name] ?? this.#shown(schema.default);
    if (start != null) this.input[property] = start;
    this.input.addEventListener("input", () => {
      drafts[name] = this.input[property];
      this.show(null);
    });
    if (!name) this.input.setAttribute("aria-labelledby", questionId);
    const star = this.isRequired && !this.isTicked && h("span.problem", { title: "required" }, " *");
    this.el = h(this.isTicked ? "div.field.ticked" : "div.field", name && h("label", { for: this.id }, schema.title ?? name, star),
      this.input, schema.description && h("small", schema.description), this.problem);
  }

  #control() {
    const { type, format, maxLength } = this.schema;
    const common = { id: this.id, "aria-describedby": `${this.id}-p`, "aria-required": this.isRequired };
    const input = (kind, more) => h("input.input", { ...common, type: kind, ...more });
    if (this.isTicked) return input("checkbox");
    if (this.choices) {
      return h("select.input", common, h("option", { value: "" }), this.choices.map(([, word], value) => h("option", { value }, word)));
    }
    if (type === "number" || type === "integer") return input("text", { inputmode: "decimal" });
    if (type === "string" && !(maxLength > 200)) return input(format === "date" ? "date" : "text", { placeholder: format });
    return h("textarea.input", { ...common, rows: 3, placeholder: type === "string" ? null : "JSON" });
  }

  /** A default as the control holds it. */
  #shown(value) {
    if (value == null || this.isTicked) return value;
    if (this.choices) return this.choices.findIndex(([each]) => each === value);
    return typeof value === "string" ? value : JSON.stringify(value);
  }

  /** What was filled in: `{value}`, `{}` for nothing, `{problem}`; the kernel judges the rest. */
  read() {
    const { type, isOptional } = this.schema;
    if (this.isTicked) return { value: this.input.checked };
    const text = this.input.value.trim();
    if (!text) return this.isRequired ? { problem: "is needed" } : isOptional ? { value: null } : {};
    if (this.choices) return { value: this.choices[text][0] };
    if (type === "string") return { value: this.input.value };
    if (type === "number" || type === "integer") {
      const isRight = type === "integer" ? Number.isSafeInteger : Number.isFinite;
      return isRight(Number(text)) ? { value: Number(text) } : { problem: `is to be ${type === "integer" ? "a whole" : "a"} number` };
    }
    try {
      return { value: JSON.parse(text) };
    } catch {
      return { problem: "is to be JSON" };
    }
  }

  show(problem) {
    this.problem.hidden = !problem;
    setText(this.problem, plain(problem));
    setAttribute(this.input, "aria-invalid", Boolean(problem));
  }
}

// The tree ----------------------------------------------------------------------------

/** The steps as a tree with a time line; only the rows in sight are elements. */
class Tree {
  lines = [];

  constructor(store, id) {
    Object.assign(this, { store, id });
    const column = (name, kind = "") => h(`span${kind}`, { role: "columnheader" }, name);
    const release = () => { store.follows = false; };
    this.axis = h("span.axis", { role: "columnheader", "aria-label": "Timeline" });
    this.columns = h("div.columns", { role: "row", "aria-rowindex": 1 }, column("Step"), column("Status"), column("Time", ".time"), this.axis);
    this.grid = h("div.grid", { "aria-hidden": true });
    this.canvas = h("div.canvas", { role: "presentation" }, this.grid);
    this.viewport = h("div.viewport", { role: "rowgroup", tabindex: -1, onscroll: () => this.#scrolled() }, this.canvas);
    this.empty = h("p.empty");
    this.table = h("div.tree", {
      role: "treegrid", tabindex: 0, "aria-colcount": 4, onwheel: release, onpointerdown: release,
      onkeydown: (event) => this.#key(event), onclick: (event) => this.#click(event),
    }, this.columns, this.viewport, this.empty);
    this.el = h("div.steps", this.#makeTools(), this.table);
  }

  #makeTools() {
    const { store } = this;
    this.filters = Object.keys(FILTERS).map((name) => [name, button("", () => store.setFilter(name, store.query), {}, ".filter")]);
    this.search = h("input.input.search", {
      type: "search", placeholder: "find a step  /", "aria-label": "Find a step by its name",
      oninput: () => store.setFilter(store.filter, this.search.value),
      onkeydown: (event) => {
        if (!["Escape", "Enter", "ArrowDown"].includes(event.key)) return;
        if (event.key === "Escape") store.setFilter(store.filter, "");
        event.preventDefault();
        this.table.focus();
      },
    });
    this.folder = button("", () => store.foldAll(!this.hasOpen), {}, ".quiet");
    this.tools = h("div.tools", h("span.filters", { role: "group", "aria-label": "Filter" }, this.filters.map(([, each]) => each)),
      this.search, h("span.spring"), this.folder);
    return this.tools;
  }

  /** The size has changed, or the view is on the page again. */
  measure() {
    const { clientWidth: width } = this.table;
    if (!width) return;
    this.table.dataset.width = width < 540 ? "narrow" : width < 1000 ? "middle" : "wide";
    this.columns.style.paddingRight = `${this.viewport.offsetWidth - this.viewport.clientWidth}px`;
    this.axisWidth = this.axis.clientWidth;
    this.grid.style.width = `${this.axisWidth}px`;
    this.#putScroll(); // what is taken off the page loses its place
  }

  #putScroll() {
    if (this.viewport.scrollTop !== this.store.scrollTop) this.viewport.scrollTop = this.store.scrollTop;
  }

  #scrolled() {
    if (!this.viewport.clientHeight) return;
    this.store.scrollTop = this.viewport.scrollTop;
    this.store.draw();
  }

  draw() {
    const { store } = this;
    const { list, head } = store;
    this.#drawTools(list);
    setAttribute(this.table, "aria-label", `Steps of ${plain(head.workflow)}`);
    setAttribute(this.table, "aria-rowcount", list.length + 1);
    if (this.length !== list.length) {
      this.height = Math.min(list.length, ROWS_IN_SIGHT) * ROW_HEIGHT;
      this.viewport.style.height = `${this.height}px`;
      this.canvas.style.height = `${list.length * ROW_HEIGHT}px`;
      if (this.length > ROWS_IN_SIGHT !== list.length > ROWS_IN_SIGHT) this.measure();
      this.length = list.length;
    }
    this.empty.hidden = list.length > 0;
    setText(this.empty, store.rows.size ? "no step matches the filter" : isOver(head.status) ? "it had no steps" : "no step yet");
    this.#keepInSight(list);
    const axis = store.axis(Math.max(Math.floor((this.axisWidth || 300) / 64), 2));
    this.#drawAxis(axis);
    this.#drawRows(list, axis);
  }

  #drawTools(list) {
    const { store } = this;
    const { bad, busy } = store.progress();
    const words = { all: "All", running: `Running ${count(busy)}`, failed: `Failed ${count(bad)}` };
    for (const [name, element] of this.filters) {
      setText(element, words[name]);
      setAttribute(element, "aria-pressed", String(store.filter === name));
    }
    if (list !== this.folded) this.hasOpen = list.some(({ fold }) => fold === "open");
    this.folded = list;
    this.folder.hidden = !list.some(({ fold }) => fold);
    setText(this.folder, this.hasOpen ? "Fold all" : "Unfold all");
    this.tools.hidden = store.rows.size < 2;
    if (this.search.value.toLowerCase() !== store.query) this.search.value = store.query;
  }

  /** Scroll to what was selected; else to what runs last, until the user takes over. */
  #keepInSight(list) {
    const { store } = this;
    let place = -1;
    if (store.mustReveal) place = list.findIndex(({ key }) => key === store.selected);
    else if (store.follows && store.isLive && list !== this.followed) {
      place = list.findLastIndex(({ row }) => BUSY.includes(row.status));
    }
    this.followed = list;
    if (place < 0) return;
    const top = place * ROW_HEIGHT;
    store.scrollTop = Math.max(Math.min(store.scrollTop, top), top + ROW_HEIGHT - this.height);
    this.#putScroll();
  }

  #drawAxis({ start, length, ticks }) {
    const key = `${length} ${ticks.length} ${this.axisWidth}`;
    const place = (ms) => `left:${Math.min((100 * ms) / length, 100)}%`;
    if (key !== this.axisKey) {
      this.axisKey = key;
      // The last one has no room where it would stick out.
      const labels = ticks.filter((tick) => (1 - tick / length) * (this.axisWidth || 300) > 34);
      fill(this.axis, ...labels.map((tick) => h("span.tick", { style: place(tick) }, tickLabel(tick))));
      this.nowLine = h("span.line.now");
      fill(this.grid, ...ticks.slice(1).map((tick) => h("span.line", { style: place(tick) })), this.nowLine);
    }
    this.nowLine.hidden = !this.store.isLive;
    this.nowLine.style = place(this.store.now - start);
  }

  #drawRows(list, axis) {
    const { store } = this;
    const size = Math.min(ROWS_IN_SIGHT + 2 * SPARE_ROWS, list.length);
    const first = Math.max(Math.min(Math.floor(store.scrollTop / ROW_HEIGHT) - SPARE_ROWS, list.length - size), 0);
    while (this.lines.length < size) {
      this.lines.push(new Line());
      this.canvas.append(this.lines.at(-1).el);
    }
    for (const line of this.lines.splice(size)) line.el.remove();
    let active = null;
    for (let index = first; index < first + size; index += 1) {
      const item = list[index];
      const isSelected = item.key === store.selected;
      const id = `${this.id}-${item.key}`;
      this.lines[index % size].draw(item, index, isSelected, axis, store.now, id);
      if (isSelected) active = id;
    }
    setAttribute(this.table, "aria-activedescendant", active);
  }

  #click({ target }) {
    const { store } = this;
    const item = store.list[target.closest(".nbf-row")?.dataset.index];
    if (!item) return;
    if (item.more) store.fold(item.row, true);
    else if (item.fold && target.closest(".nbf-twisty")) store.fold(item.row, item.fold !== "open");
    else {
      store.select(item.key);
      store.showDetail(item.key);
    }
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { store } = this;
    const { list } = store;
    const at = list.findIndex(({ key }) => key === store.selected);
    const page = ROWS_IN_SIGHT - 1;
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: list.length };
    if (event.key in moves) this.#move(Math.max(Math.min(moves[event.key], list.length - 1), 0));
    else if (event.key === "/") this.search.focus();
    else if (event.key === "Escape" && store.detailRow !== null) store.showDetail(null);
    else if (event.key === "Escape") (this.el.closest(".jp-Cell") ?? this.table).focus();
    else if (at >= 0 && ["ArrowLeft", "ArrowRight", "Enter", " "].includes(event.key)) this.#act(event.key, at);
    else return;
    event.preventDefault();
  }

  #move(place) {
    const { store } = this;
    const item = store.list[place];
    if (!item) return;
    store.select(item.key);
    clearTimeout(this.pause); // details follow when the selection rests
    if (store.detailRow !== null && !item.more) this.pause = setTimeout(() => store.showDetail(item.key), 120);
  }

  #act(key, at) {
    const { list } = this.store;
    const { row, fold, depth, more } = list[at];
    const isOpen = fold === "open" || fold === "some";
    if (key === "ArrowLeft") {
      if (isOpen) this.store.fold(row, false);
      else this.#move(list.findLastIndex((each, index) => index < at && each.depth < depth));
    } else if (more || (key === "ArrowRight" && fold && fold !== "open")) this.store.fold(row, true);
    else if (key === "ArrowRight") this.#move(isOpen ? at + 1 : at);
    else {
      this.store.showDetail(row.id);
      if (key === "Enter") this.onenter();
    }
  }
}

/** The element of a row; used again for another one when the tree is scrolled. */
class Line {
  constructor() {
    const cell = (name, ...parts) => h(`span.${name}`, { role: "gridcell" }, parts);
    this.icon = icon();
    this.name = h("span.name");
    this.tags = h("span.tags");
    this.meter = h("span.meter", h("span"));
    this.text = h("span.text");
    this.status = cell("status");
    this.time = cell("time");
    this.bars = cell("bars");
    const lead = h("span.lead", h("span.twisty", { "aria-hidden": true }), this.icon, this.name, this.tags);
    this.el = h("div.row", { role: "row" }, cell("step", lead, this.meter, this.text), this.status, this.time, this.bars);
  }

  /** @param {Item} item */
  draw(item, index, isSelected, axis, now, id) {
    const { row, depth, fold, more } = item;
    // What has an outcome stays as it is; what has none ticks.
    const pulse = isOver(row.status) ? 0 : Math.floor(now / 500);
    const key = [index, depth, fold, more, isSelected, axis.start, axis.end, pulse].join();
    if (row === this.row && key === this.key) return;
    Object.assign(this, { row, key });
    const { el } = this;
    el.id = id;
    el.style.transform = `translateY(${index * ROW_HEIGHT}px)`;
    el.style.setProperty("--nbf-depth", Math.min(depth - 1, 12));
    Object.assign(el.dataset, { index, fold: fold ?? "", more: more > 0, status: more ? "" : row.status });
    setAttribute(el, "aria-rowindex", index + 2);
    setAttribute(el, "aria-level", depth);
    setAttribute(el, "aria-expanded", fold && String(fold !== "closed"));
    setAttribute(el, "aria-selected", String(isSelected));
    if (more) this.#drawMore(more);
    else this.#drawRow(row, axis, now);
  }

  #drawMore(more) {
    setText(this.name, `${count(more)} more`);
    for (const element of [this.tags, this.text, this.status, this.time, this.bars]) fill(element);
    this.meter.hidden = true;
    this.el.title = "Show all";
  }

  #drawRow(row, axis, now) {
    const { status, attempt, counts } = row;
    const [name, text, tone] = [plain(row.name, 200), plain(row.text), mark(status)[1]];
    setIcon(this.icon, status);
    setText(this.name, name);
    this.el.title = `${name}\n${text}`;
    const tags = [KIND_WORDS[row.kind], attempt > 1 && `attempt ${attempt}`, row.flags.includes("s") && "stale"].filter(Boolean);
    if (tags.join("") !== this.tags.textContent) fill(this.tags, ...tags.map((tag) => h("span.tag", tag)));
    setText(this.status, statusWords(row, now));
    setText(this.time, timeOf(row, now));
    setText(this.text, listed(counts && this.#drawMeter(counts), text));
    for (const element of [this.status, this.text, this.meter]) element.dataset.tone = tone;
    this.meter.hidden = !counts;
    this.#drawBars(barsOf(row, now), axis);
  }

  /** The bar of what counts; returns it in words. */
  #drawMeter([good, bad, running, waiting, total]) {
    const done = sum([good, bad]);
    const known = total || sum([done, running, waiting]);
    this.meter.firstChild.style.width = `${Math.min((100 * done) / (known || 1), 100)}%`;
    return listed(done === known ? count(done) : `${count(done)}/${count(known)}`, bad && `${count(bad)} failed`);
  }

  #drawBars(bars, { start, length }) {
    const place = (time) => Math.min(Math.max((100 * (time - start)) / length, 0), 100);
    while (this.bars.childElementCount > bars.length) this.bars.lastChild.remove();
    while (this.bars.childElementCount < bars.length) this.bars.append(h("span"));
    bars.forEach(([letter, from, to, tone], index) => {
      const bar = this.bars.children[index];
      bar.className = `nbf-bar nbf-${to < start ? "before" : letter}`; // before: in a former life
      bar.dataset.tone = tone;
      bar.style = `left:${place(from)}%;width:${place(to) - place(from)}%`;
    });
    const from = bars[0]?.[1];
    setAttribute(this.bars, "aria-label", from == null ? null : `from ${duration(from - start)} to ${duration(bars.at(-1)[2] - start)}`);
  }
}

// Details and log ---------------------------------------------------------------------

/** All that is known of one row, or of the run. */
class Details {
  constructor(store) {
    this.store = store;
    this.title = h("h3", { tabindex: -1 });
    this.icon = icon();
    this.body = h("div");
    const close = button("✕", () => store.showDetail(null), { "aria-label": "Close the details" }, ".quiet");
    this.el = h("aside.details", { "aria-label": "Details", onkeydown: ({ key }) => key === "Escape" && this.onleave() },
      h("div.detail-title", this.icon, this.title, close), this.body);
  }

  draw() {
    const { detailRow, detail, rows, head } = this.store;
    this.el.hidden = detailRow === null;
    if (this.mustFocus) this.title.focus({ preventScroll: true });
    this.mustFocus = false;
    if (detailRow === null || (this.row === detailRow && this.detail === detail)) return;
    if (this.row !== detailRow) this.el.scrollTop = 0;
    Object.assign(this, { row: detailRow, detail });
    const row = rows.get(detailRow);
    setText(this.title, plain(detail?.title ?? row?.name ?? head.workflow, 500));
    setIcon(this.icon, detail?.status ?? row?.status ?? head.status);
    fill(this.body, ...(detail ? this.#parts(detail) : [h("p.soft", "loading…")]));
  }

  #parts({ title, status, facts, run_id: started, error, result, input, attempts, log, snippet, row }) {
    const own = row === 0 && this.store.head.run_id;
    return [
      h("dl.facts", [["status", mark(status)[0]], ...facts].map(([name, text]) => [h("dt", name), h("dd", text)]).flat()),
      started && h("p.soft", "started run ", h("code", started), copyButton(started, "the run's id")),
      error && errorPart(error),
      result && valuePart("Result", result),
      input && valuePart("Input", input),
      attempts.length > 1 && part("Attempts", null, h("ol.attempts", attempts.map(attemptLine))),
      log.length > 0 && part("Log", null, logLines(log)),
      snippet && part("In Python", copyButton(snippet, "the code"), code(snippet, "Code")),
      h("p", copyButton(title, "the name", "copy name"), own && copyButton(own, "the run's id", "copy run id")),
    ];
  }
}

const part = (title, tool, ...children) => h("section.part", h("h4", title, tool), children);
const code = (text, name) => h("pre.code", { tabindex: 0, "aria-label": name }, text);

function errorPart({ type, message, traceback, cell }) {
  const line = `${type}: ${message}`;
  return part("Error", copyButton(traceback || line, "the error"), h("p.error", h("b", type), message && `: ${message}`),
    cell && h("p.soft", "in ", h("code", cell)), traceback && code(traceback, "Traceback"));
}

function valuePart(title, { text, table, image, more }) {
  // A base64 text holds nothing that could end the URL.
  const isImage = image && /^[A-Za-z0-9+/]+={0,2}$/.test(image);
  return part(title, copyButton(text, title.toLowerCase()),
    isImage && h("img", { src: `data:image/png;base64,${image}`, alt: plain(text) || title }),
    table ? tableOf(title, table) : !isImage && code(text, title), more && h("p.soft", more));
}

function tableOf(title, { columns, types, rows, more }) {
  const heads = columns.map((column, index) => h("th", { scope: "col" }, column, types[index] && h("small", types[index])));
  return h("div.table", { tabindex: 0, role: "region", "aria-label": `${title} as a table` },
    h("table", h("thead", h("tr", heads)), h("tbody", rows.map((cells) => h("tr", cells.map((cell) => h("td", plain(cell, 500))))))),
    more && h("p.soft", more));
}

function attemptLine({ number, status, started, ended, due, error }) {
  const took = started != null && ended != null && ` after ${duration(ended - started)}`;
  const wait = due > ended && `, next one ${duration(due - ended)} later`;
  return h("li", { value: number }, icon(status), `${number}. ${mark(status)[0]}`, took, wait, error && h("span.error", error));
}

/** Log lines: `[time, level, text, row, source]`. */
const logLines = (lines) => h("ol.log-lines", { tabindex: 0, "aria-label": "Log lines" }, lines.map(([time, level, text]) =>
  h("li", { "data-level": level }, h("time", clock(time)), h("b", level), h("span", plain(text, 500)))));

/** The last line of the log; opened, all that are kept. */
class Log {
  constructor(store) {
    this.store = store;
    this.last = h("span.last");
    const onclick = () => {
      store.isLogOpen = !store.isLogOpen;
      store.draw();
    };
    this.toggle = h("button.log-toggle", { type: "button", onclick }, h("span.twisty"), h("b", "Log"), this.last);
    this.body = h("div.log-body");
    this.el = h("footer.log", this.toggle, this.body);
  }

  draw() {
    const { log, isLogOpen } = this.store;
    if (log === this.log && isLogOpen === this.isOpen) return;
    Object.assign(this, { log, isOpen: isLogOpen });
    this.el.hidden = !log.length;
    this.el.dataset.fold = isLogOpen ? "open" : "closed";
    setAttribute(this.toggle, "aria-expanded", String(isLogOpen));
    const [time, level, text] = log.at(-1) ?? [0, "", ""];
    setText(this.last, isLogOpen ? plural(log.length, "line") : `${clock(time)}  ${plain(text, 200)}`);
    this.last.dataset.level = isLogOpen ? "" : level;
    const { scrollTop, scrollHeight, clientHeight } = this.body;
    fill(this.body, isLogOpen && logLines(log));
    this.body.scrollTop = scrollHeight - scrollTop - clientHeight < 8 ? this.body.scrollHeight : scrollTop;
  }
}

// The view ----------------------------------------------------------------------------

/** One display of a run. */
class View {
  #frame = 0;
  #saidAt = 0;
  #inside = { pointer: false, focus: false };

  constructor(store) {
    this.store = store;
    const parts = [Header, Questions, Tree, Details, Log].map((Part) => new Part(store, newId()));
    const [header, questions, tree, details, log] = parts;
    Object.assign(this, { parts, tree });
    tree.onenter = () => { details.mustFocus = true; };
    details.onleave = () => tree.table.focus();
    this.announcer = h("div.unseen", { "aria-live": "polite" });
    this.el = h("section.run", header.el, questions.el, h("div.body", tree.el, details.el), log.el, this.announcer);
    this.#listen();
  }

  #listen() {
    const { el, store } = this;
    const inside = (change) => {
      Object.assign(this.#inside, change);
      store.note(this, { isHeld: this.#inside.pointer || this.#inside.focus });
    };
    const listeners = {
      // JupyterLab would take keys for commands: "b" inserts a cell. Saving goes on.
      keydown: (event) => (event.ctrlKey || event.metaKey) && event.key === "s" ? null : event.stopPropagation(),
      pointerenter: () => inside({ pointer: true }),
      pointerleave: () => inside({ pointer: false }),
      focusin: () => inside({ focus: true }),
      focusout: ({ relatedTarget }) => inside({ focus: el.contains(relatedTarget) }),
    };
    for (const [name, listener] of Object.entries(listeners)) el.addEventListener(name, listener);
    this.onTab = () => store.note(this, {});
    document.addEventListener("visibilitychange", this.onTab);
    this.watchers = [
      new IntersectionObserver((entries) => store.note(this, { isVisible: entries.at(-1).isIntersecting })),
      new ResizeObserver(() => {
        this.measure();
        this.schedule();
      }),
    ];
    for (const watcher of this.watchers) watcher.observe(el);
  }

  remove() {
    this.store.detach(this);
    cancelAnimationFrame(this.#frame);
    document.removeEventListener("visibilitychange", this.onTab);
    for (const watcher of this.watchers) watcher.disconnect();
    this.el.remove();
  }

  /** Draw in the next frame; a hidden tab has none until it is seen again. */
  schedule() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.el.isConnected) this.draw();
    });
  }

  measure() {
    const { clientWidth: width } = this.el;
    this.el.dataset.size = width < 560 ? "narrow" : width < 960 ? "middle" : "wide";
    this.tree.measure();
  }

  draw() {
    const { el, store } = this;
    const { head } = store;
    el.hidden = !head;
    if (!head) return;
    setAttribute(el, "aria-label", `Run ${plain(head.run_id)} of ${plain(head.workflow)}`);
    el.dataset.status = store.isDisconnected ? "disconnected" : head.status;
    const details = String(store.detailRow !== null);
    const hasMoved = el.dataset.details !== details;
    el.dataset.details = details;
    if (hasMoved) this.measure();
    for (const each of this.parts) each.draw();
    store.mustReveal = false;
    this.#announce(head);
  }

  /** What a screen reader says: every few seconds, and at the end. */
  #announce({ status, questions }) {
    const { done, total, bad } = this.store.progress();
    const said = listed(mark(status)[0], `${count(done)} of ${plural(total, "step")}`, bad && `${count(bad)} failed`,
      questions.length > 0 && `${plural(questions.length, "question")} to answer`);
    if (Date.now() - this.#saidAt < ANNOUNCE_EVERY && !isOver(status)) return;
    if (said !== this.announcer.textContent) this.#saidAt = Date.now();
    setText(this.announcer, said);
  }
}

/** The module is loaded once per model; this makes the model's store. */
export default () => {
  const store = new Store();
  return {
    initialize: ({ model }) => store.connect(model),
    render({ el }) {
      const view = new View(store);
      el.append(view.el);
      store.attach(view);
      view.schedule();
      return () => view.remove();
    },
  };
};
