/** What a screen reader says of a run: every few seconds, and at the end. */

import { h, say } from "./elements.js";
import { isOver, mark, progressOf } from "./statuses.js";
import { count, listed, plural } from "./words.js";

const ANNOUNCE_EVERY = 5000;

export function makeAnnouncer(store) {
	const el = h("div.unseen", { "aria-live": "polite" });
	let announcedAt = 0;

	function draw() {
		const { head } = store;
		const { done, total, bad } = progressOf(head);
		const asked = head.questions.length;
		const said = listed(mark(head.status)[0], `${count(done)} of ${plural(total, "step")}`, bad && `${count(bad)} failed`,
			asked > 0 && `${plural(asked, "question")} to answer`);
		if (Date.now() - announcedAt < ANNOUNCE_EVERY && !isOver(head.status)) return;
		if (said !== el.textContent) announcedAt = Date.now();
		say(el, said);
	}
	return { el, draw };
}
