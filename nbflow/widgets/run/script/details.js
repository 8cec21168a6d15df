/** All that is known of one row, or of the run. */

import { button, fill, h, say, watch } from "./elements.js";
import { icon, setIcon } from "./icons.js";
import { sections } from "./sections.js";

export function makeDetails(store) {
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
		const known = detail ?? store.outline.rows.get(id) ?? head;
		say(title, known.title ?? known.name ?? head.workflow, 500);
		setIcon(sign, known.status);
		fill(body, ...(detail ? sections(detail) : [h("p.soft", "loading…")]));
	}
	return part;
}
