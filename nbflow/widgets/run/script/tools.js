/** What is above the tree: the filters, and the search for a name. */

import { button, h, say, set } from "./elements.js";
import { FILTERS } from "./outline.js";
import { progressOf } from "./statuses.js";
import { count } from "./words.js";

/** `onleave(isOn)`: the user has finished with the search, and goes on to what it found. */
export function makeTools(store, onleave) {
	const { outline } = store;
	const filters = Object.keys(FILTERS).map((name) => [name, button("", () => store.setFilter(name, outline.search), ".filter")]);
	const search = h("input.input.search", {
		type: "search", placeholder: "find a step  /", "aria-label": "Find a step by its name",
		oninput: () => store.setFilter(outline.filter, search.value.trim()), onkeydown,
	});
	const el = h("div.tools", { role: "group", "aria-label": "Filter" }, filters.map(([, each]) => each), search);

	function onkeydown(event) {
		if (event.key === "Escape" && search.value) store.setFilter(outline.filter, search.value = "");
		else if (["Escape", "Enter", "ArrowDown"].includes(event.key)) onleave(event.key !== "Escape");
		else return;
		event.preventDefault();
	}

	function draw() {
		const { bad, busy } = progressOf(store.head);
		const words = ["All", `Running ${count(busy)}`, `Failed ${count(bad)}`];
		filters.forEach(([name, element], index) => {
			say(element, words[index]);
			set(element, { "aria-pressed": String(outline.filter === name) });
		});
		if (search.value.trim() !== outline.search) search.value = outline.search; // of another display
		el.hidden = outline.rows.size < 2;
	}
	return { el, draw, focus: () => search.focus() };
}
