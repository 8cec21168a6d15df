/** Numbers and texts as they can be shown. */

export const count = (number) => number.toLocaleString("en-US");
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
export const listed = (...parts) => parts.filter(Boolean).join(" · ");

// Controls, and what turns the direction of the text around it.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A text as it can be shown, at most `limit` characters of it. */
export function plain(text, limit = 400) {
	const whole = String(text ?? "");
	return (whole.length > limit ? `${whole.slice(0, limit - 1)}…` : whole).replace(UNSAFE, "");
}
