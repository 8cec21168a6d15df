/** What a resume would run again, for the user to decide. */

import { button, fill, h, watch } from "./elements.js";
import { count } from "./words.js";

export function makePlan(store) {
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
