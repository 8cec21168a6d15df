/** Elements of the page. Nothing is ever taken as markup: texts become text nodes. */

import { plain } from "./words.js";

/**
 * Make an element: `h("button.quiet", {onclick}, "Copy")`. Classes get the prefix `nbf-`;
 * properties are listeners (`on…`) and attributes; a string becomes a text.
 */
export function h(what, ...parts) {
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
export const fill = (element, ...children) => element.replaceChildren(...children.filter(Boolean));

/** Change only what differs: selections and screen readers stay calm. */
export function say(element, text, limit) {
	const shown = plain(text, limit);
	if (element.textContent !== shown) element.textContent = shown;
}

export function set(element, attributes) {
	for (const [name, value] of Object.entries(attributes)) {
		if (name.startsWith("on")) element[name] = value;
		else if (value == null || value === false) element.removeAttribute(name);
		else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
	}
}

/** A function that tells whether its argument is another one than last time. */
export const watch = (last) => (key) => last !== (last = key);

export const newId = () => `nbf-${Math.random().toString(36).slice(2)}`;
export const button = (text, onclick, kind = "", more = {}) => h(`button.button${kind}`, { type: "button", onclick, ...more }, text);

/** A button that puts a text on the clipboard; browsers want https or localhost for it. */
export function copyButton(text, what) {
	const onclick = async () => {
		await navigator.clipboard.writeText(text);
		say(made, "copied");
		setTimeout(() => say(made, "copy"), 1200);
	};
	const made = button("copy", onclick, ".quiet", { "aria-label": `Copy ${what}`, hidden: !navigator.clipboard });
	return made;
}
