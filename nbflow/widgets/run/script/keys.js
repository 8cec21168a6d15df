/** What keys do in the tree: go from line to line, fold, find a name, open the details. */

/**
 * `page` lines are in sight; `onfind`, `onleave` and `onenter` are called when the user goes
 * to the search, away from the tree, into the details.
 */
export function makeKeys(store, page, { onfind, onleave, onenter }) {
	const { outline } = store;
	let [pause, typed, typedAt] = [0, "", 0];

	function onkeydown(event) {
		if (event.ctrlKey || event.metaKey || event.altKey) return;
		const { list } = outline;
		const at = list.findIndex(({ key }) => key === store.selected);
		const [far, last] = [page - 1, list.length - 1];
		const moves = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + far, PageUp: at - far, Home: 0, End: last };
		if (event.key in moves) move(Math.max(Math.min(moves[event.key], last), 0));
		else if (event.key === "/") onfind();
		else if (event.key === "Escape" && store.detailRow !== null) store.showDetail(null);
		else if (event.key === "Escape") onleave();
		else if (at >= 0 && ["ArrowLeft", "ArrowRight", "Enter", " "].includes(event.key)) act(event.key, list[at], at);
		else if (event.key.length === 1) seek(event, at);
		else return;
		event.preventDefault();
	}

	/** Go on to the next row whose name begins with what was typed. */
	function seek({ key, timeStamp }, at) {
		const { list } = outline;
		typed = (timeStamp - typedAt < 800 ? typed : "") + key.toLowerCase();
		typedAt = timeStamp;
		const from = typed.length > 1 ? Math.max(at, 0) : at + 1;
		const isIt = ({ row, more }) => !more && row.name.toLowerCase().startsWith(typed);
		const after = list.slice(from).findIndex(isIt);
		move(after < 0 ? list.findIndex(isIt) : from + after);
	}

	function move(place) {
		const item = outline.list[place];
		if (!item) return;
		store.select(item.key);
		clearTimeout(pause); // details follow when the selection rests
		if (store.detailRow !== null && !item.more) pause = setTimeout(() => store.showDetail(item.key), 120);
	}

	function act(key, { row, fold, depth, more }, at) {
		const isOpen = fold === "open" || fold === "some";
		if (key === "ArrowLeft" && isOpen) store.fold(row, false);
		else if (key === "ArrowLeft") move(outline.list.findLastIndex((each, index) => index < at && each.depth < depth));
		else if (more || (key === "ArrowRight" && fold && fold !== "open")) store.fold(row, true);
		else if (key === "ArrowRight") move(isOpen ? at + 1 : at);
		else {
			store.showDetail(row.id);
			if (key === "Enter") onenter();
		}
	}
	return { onkeydown, move };
}
