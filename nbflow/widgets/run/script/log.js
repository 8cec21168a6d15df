/** The last line of the log; all of it is in the details of the run. */

import { button, fill, h, say, set } from "./elements.js";
import { clock } from "./times.js";

export function makeLog(store) {
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
