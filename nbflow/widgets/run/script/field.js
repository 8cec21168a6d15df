/** One field of a form. */

import { h, newId, say, set } from "./elements.js";

/** `[value, word]` of each choice; null: the schema leaves more than a choice. */
export function choicesOf(schema) {
	const word = (value) => [value, typeof value === "string" ? value : JSON.stringify(value)];
	return schema.type === "boolean" ? [[true, "Yes"], [false, "No"]] : schema.enum?.map(word) ?? null;
}

/** A control by its schema, and what is wrong with it. */
export function makeField(name, schema, isNeeded, questionId) {
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
