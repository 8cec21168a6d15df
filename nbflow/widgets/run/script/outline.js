/** The rows as a tree, and the lines of it that are shown. */

import { decodeRow, holdsOthers } from "./row.js";
import { BAD, BUSY, isFailed, sum } from "./statuses.js";

const FOLD_FROM = 20; // with more children a row begins folded
const FAILED_SHOWN = 5; // failed children that show under a folded row
export const FILTERS = { all: null, running: BUSY, failed: BAD };

/** A line of the tree; with `more` it stands for so many rows of `row` that are not shown. */
export class Item {
	constructor(rows, id, depth, fold, more = 0) {
		Object.assign(this, { rows, id, depth, fold, more, key: more ? -id : id });
	}

	/** The row as it is now: the list outlives it. @returns {import("./row.js").Row} */
	get row() {
		return this.rows.get(this.id);
	}
}

export class Outline {
	/** @type {Map<number, import("./row.js").Row>} */
	rows = new Map();
	filter = "all";
	search = ""; // part of a name

	#children = new Map(); // ids by parent, in order
	#failed = new Set();
	#folds = new Map(); // what the user did: open, some (the failed ones), closed
	#reopened = new Set();
	#list = null;

	/** Forget the rows, not what the user has folded. */
	clear() {
		for (const known of [this.rows, this.#children, this.#failed]) known.clear();
		this.#list = null;
	}

	/** A row as the kernel tells it; its id alone: it is gone. */
	take(list) {
		if (list.length === 1) this.#drop(list[0]);
		else this.#keep(decodeRow(list));
	}

	#keep(row) {
		const old = this.rows.get(row.id);
		this.rows.set(row.id, row);
		if (old && old.parent !== row.parent) this.#unlink(old);
		if (old?.parent !== row.parent) this.#link(row);
		if (isFailed(row.status) !== this.#failed.has(row.id)) {
			if (!this.#failed.delete(row.id)) this.#noteFailed(row);
			this.#list = null;
		}
		if ((this.filter !== "all" && old?.status !== row.status) || old?.flags !== row.flags) this.#list = null;
	}

	#drop(id) {
		for (const child of this.#heldBy(id)) this.#drop(child);
		if (this.rows.has(id)) this.#unlink(this.rows.get(id));
		for (const known of [this.rows, this.#children, this.#failed]) known.delete(id);
	}

	#link({ id, parent }) {
		const ids = this.#heldBy(parent);
		ids.push(id);
		if (ids.at(-2) > id) ids.sort((one, other) => one - other);
		this.#children.set(parent, ids);
		this.#list = null;
	}

	#unlink({ id, parent }) {
		this.#children.set(parent, this.#heldBy(parent).filter((each) => each !== id));
		this.#list = null;
	}

	#heldBy(id) {
		return this.#children.get(id) ?? [];
	}

	/** A failure shows itself once, even where the user has folded what holds it. */
	#noteFailed(row) {
		this.#failed.add(row.id);
		for (let id = row.parent; id; id = this.rows.get(id)?.parent) {
			if (this.#folds.get(id) === "closed" && !this.#reopened.has(id)) this.#folds.set(id, "some");
			this.#reopened.add(id);
		}
	}

	find(filter, search) {
		Object.assign(this, { filter, search });
		this.#list = null;
	}

	fold(id, isOpen) {
		this.#folds.set(id, isOpen ? "open" : "closed");
		this.#list = null;
	}

	/** open, closed, some (its failed children show), or null: it holds nothing. */
	#foldOf({ id, flags }) {
		const held = flags.includes("l") ? Infinity : this.#heldBy(id).length;
		return held ? this.#folds.get(id) ?? (held > FOLD_FROM ? "some" : "open") : null;
	}

	/** The lines of the tree. @returns {Item[]} */
	get list() {
		this.#list ??= this.#flatten();
		return this.#list;
	}

	#flatten() {
		const wanted = this.search || this.filter !== "all" ? this.#withAbove(this.#matching()) : null;
		const troubled = this.#withAbove(this.#failed);
		const items = [];
		const add = (id, depth) => {
			const item = new Item(this.rows, id, depth, this.#foldOf(this.rows.get(id)));
			items.push(item);
			return item;
		};
		const walk = (parent, depth) => {
			for (const id of this.#heldBy(parent)) {
				if (wanted && !wanted.has(id)) continue;
				const item = add(id, depth);
				if (wanted && item.fold) item.fold = this.#heldBy(id).some((child) => wanted.has(child)) ? "open" : "closed";
				if (item.fold === "open") walk(id, depth + 1);
				else if (item.fold === "some") walkFailed(item);
			}
		};
		const walkFailed = (item) => {
			const { row, depth } = item;
			const shown = this.#heldBy(row.id).filter((id) => troubled.has(id)).slice(0, FAILED_SHOWN);
			if (!shown.length) item.fold = "closed";
			for (const id of shown) {
				const inner = add(id, depth + 1);
				if (inner.fold && inner.fold !== "closed") walkFailed(inner);
			}
			const all = Math.max(this.#heldBy(row.id).length, holdsOthers(row) && row.counts ? sum(row.counts.slice(0, 4)) : 0);
			const more = all - shown.length;
			if (shown.length && more) items.push(new Item(this.rows, row.id, depth + 1, null, more));
		};
		walk(0, 1);
		return items;
	}

	*#matching() {
		const [statuses, part] = [FILTERS[this.filter], this.search.toLowerCase()];
		for (const row of this.rows.values()) {
			// What holds others is found through them.
			const isHolder = holdsOthers(row) && this.#heldBy(row.id).length;
			if (statuses && (isHolder || !statuses.includes(row.status))) continue;
			if (this.#nameOf(row).includes(part)) yield row.id;
		}
	}

	/** The whole name, as users write it: with those of the rows above. */
	#nameOf({ name, parent }) {
		const above = this.rows.get(parent);
		const before = above ? this.#nameOf(above) + (above.kind === "map" ? "" : "/") : "";
		return before + name.toLowerCase();
	}

	#withAbove(ids) {
		const found = new Set();
		for (let id of ids) for (; id && !found.has(id); id = this.rows.get(id)?.parent) found.add(id);
		return found;
	}
}
