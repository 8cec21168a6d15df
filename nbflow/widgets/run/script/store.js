/** What the kernel has told of a run, and what the user has chosen; the same for all its displays. */

import { KernelClock } from "./clock.js";
import { Commands } from "./commands.js";
import { Outline } from "./outline.js";
import { isOver } from "./statuses.js";
import { SECOND } from "./times.js";

const BUSY_AFTER = 2000; // ms without an answer
const RESYNC_EVERY = 500;

export class Store {
	head = null;
	outline = new Outline();
	commands = new Commands();
	lastLog = null;
	questions = "[]"; // as JSON: the forms are made anew only when it changes

	selected = 0; // key of an item
	mustReveal = false; // it is to be brought into sight
	scrollTop = 0;

	detailRow = null; // the row whose details are shown; 0: the run
	detail = null;
	plan = null; // null, "asked", or what the kernel said
	notice = null; // {tone, text}
	isDeaf = false; // nothing can be asked of the kernel
	picture = null; // what `keepPicture` returns

	#model = null;
	#clock = new KernelClock();
	#seq = 0;
	#missing = 0; // the first number that is missing; 0: none is
	#resyncAt = 0;
	#resyncWait = RESYNC_EVERY; // doubled until the kernel answers
	#isDetailOld = false;
	#ticker = 0;
	#displays = new Map(); // {isVisible, isHeld} by display
	#said = { vis: true, hold: false };

	/** anywidget takes the listeners off when the model is closed. */
	connect(model) {
		this.#model = model;
		model.on("msg:custom", (message) => this.receive(message));
		model.on("change:snapshot", () => this.#load(model.get("snapshot")));
		model.on("comm_live_update", () => {
			this.commands.clear();
			this.plan = null;
			this.#clock.lastHeard = this.now;
			this.#close("disconnected: the kernel was restarted; run the cell again to go on");
			this.picture.leave(this.notice.text);
		});
		// Closed at its end, on a page that does not hear of the HTML that replaces it.
		model.on("comm:close", () => this.head && isOver(this.head.status) && this.picture.leave("", true));
		this.#load(model.get("snapshot"));
	}

	/** The kernel's time; where nothing more will come, when it was last heard. */
	get now() {
		return this.isDeaf || this.head?.problem ? this.#clock.lastHeard : this.#clock.now;
	}

	attach(display) {
		this.#displays.set(display, { isVisible: true, isHeld: false });
		this.picture.found();
		this.#ticker ||= setInterval(() => this.#tick(), SECOND);
		this.send({ t: "hello", v: 1, visible: true });
	}

	detach(display) {
		this.#displays.delete(display);
		this.note(display, {});
		if (this.#displays.size) return;
		clearInterval(this.#ticker);
		this.#ticker = 0;
	}

	/** Tell that a display came into sight or left it, that pointer or focus are in it. */
	note(display, change) {
		Object.assign(this.#displays.get(display) ?? {}, change);
		const displays = [...this.#displays.values()];
		const said = {
			vis: !document.hidden && displays.some((each) => each.isVisible), hold: displays.some((each) => each.isHeld),
		};
		for (const [t, on] of Object.entries(said)) if (on !== this.#said[t]) this.send({ t, on });
		this.#said = said;
	}

	draw() {
		for (const display of this.#displays.keys()) display.schedule();
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
		this.#clock.begin(snapshot.now);
		this.#seq = snapshot.seq;
		this.#missing = 0;
		this.#resyncWait = RESYNC_EVERY;
		this.outline.clear();
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
		const lag = this.#clock.hear(now);
		if (lag) this.send({ t: "slow", lag });
		for (const list of rows) this.#takeRow(list);
		this.#takeLog(log ?? []);
		if (head) this.#takeHead(head);
		if (this.#missing) this.#askAgain();
	}

	#takeRow(list) {
		this.outline.take(list);
		if (list.length > 1 && list[0] === this.detailRow) this.#isDetailOld = true;
	}

	#takeLog(lines) {
		this.lastLog = lines.at(-1) ?? this.lastLog;
		if (lines.length && this.detailRow === 0) this.#isDetailOld = true;
	}

	#takeHead(head) {
		this.commands.settle(head);
		if (!head.can.includes("resume")) this.plan = null;
		this.head = head;
		this.questions = JSON.stringify(head.questions);
		if (this.detailRow === 0) this.#isDetailOld = true;
	}

	#takeAck(message) {
		const text = this.commands.acknowledge(message);
		if (text) this.#say({ tone: message.ok ? "good" : "bad", text });
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
		const cmd = this.commands.add(name, fields.row);
		this.notice = null;
		this.send({ t: name, cmd, ...fields });
		this.#expect(() => this.commands.isUnanswered(cmd));
		this.draw();
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

	setFilter(filter, search) {
		this.outline.find(filter, search);
		this.scrollTop = 0;
		this.draw();
	}

	fold({ id, flags }, isOpen) {
		this.outline.fold(id, isOpen);
		if (flags.includes("l")) this.send({ t: "open", row: id, on: isOpen });
		this.draw();
	}

	select(selected) {
		Object.assign(this, { selected, mustReveal: true });
		this.draw();
	}
}
