/** The questions of `ctx.ask`. */

import { button, fill, h, newId, say, watch } from "./elements.js";
import { choicesOf, makeField } from "./field.js";
import { icon } from "./icons.js";
import { until } from "./times.js";

const BUTTONS_MOST = 8; // choices that are buttons; more: a list

/** What the user has begun to fill in stays. */
export function makeQuestions(store) {
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
		store.commands.refusals.delete(row);
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
		const isSent = store.commands.isUnderWay("answer", row);
		for (const control of controls) control.disabled = isSent || store.isDeaf;
		const ends = until(end, store.now);
		say(left, isSent ? "sending the answer…" : ends && `ends ${ends}`);
		const refusal = store.commands.refusals.get(row);
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
