/** The run itself: its status, what it is at, what can be done with it. */

import { button, copyButton, fill, h, say, set, watch } from "./elements.js";
import { icon, setIcon } from "./icons.js";
import { makePlan } from "./plan.js";
import { BUSY, isOver, mark, progressOf } from "./statuses.js";
import { timeOf, until } from "./times.js";
import { count, listed, plural } from "./words.js";

export function makeHeader(store) {
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

	function drawProgress(head) {
		const { bad, busy, done, total, ...counted } = progressOf(head);
		const parts = [done - bad, bad, busy];
		parts.forEach((part, index) => set(shares[index], { style: `width:${(100 * part) / (total || 1)}%`, hidden: !part }));
		const live = isOver(head.status) ? [] : [...BUSY, "queued"].filter((name) => counted[name]);
		say(counts, listed(
			total === 0 ? "" : done === total ? plural(total, "step") : `${count(done)} of ${plural(total, "step")}`,
			bad && `${count(bad)} failed`,
			...live.map((name) => `${count(counted[name])} ${name}`), head.progress));
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
			const isUnderWay = store.commands.isUnderWay(command);
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
