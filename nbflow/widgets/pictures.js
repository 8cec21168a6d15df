/**
 * What a saved notebook shows of a view: a picture, in plain HTML. A widget alone would be
 * an error where its kernel is not ("model not found"), so whenever the notebook is saved,
 * and when the kernel goes, the picture takes the widget's place. On a page that is opened
 * while the kernel lives, it is the other way round.
 *
 * The widget manager of JupyterLab 4 and Notebook 7 knows the notebook; elsewhere all stays
 * as it is.
 */

const VIEW = "application/vnd.jupyter.widget-view+json";
const NOTE = "nbflow"; // in an output's metadata: whose picture it is
const SHARED = Symbol.for("nbflow.pictures.1"); // a page may hold scripts of several versions

/** When a picture was made, as a reader of the notebook takes it: "2026-05-12 14:07". */
const pictureTime = () => new Date().toLocaleString("sv").slice(0, 16);

const modelIn = (output) => output.data?.[VIEW]?.model_id;

/** A widget and all that it holds. */
function* widgetsIn(model) {
	yield model.model_id;
	for (const child of model.get("children") ?? []) yield* widgetsIn(child);
}

/**
 * The pictures of one notebook, by the id of what is shown. All scripts of a page share them.
 */
class Pictures {
	makers = new Map();
	leaves = new Map(); // functions that leave the pictures, by the same ids
	roots = new Map(); // ids of all that a widget holds, by its own

	static of(context) {
		const known = (globalThis[SHARED] ??= new WeakMap());
		if (!known.has(context)) known.set(context, new Pictures(context));
		return known.get(context);
	}

	constructor({ model: notebook, sessionContext: session }) {
		const { toJSON } = notebook;
		// What is saved; the page itself goes on with its widgets.
		notebook.toJSON = () => {
			const saved = toJSON.call(notebook);
			const still = (cell) => (cell.outputs ? { ...cell, outputs: cell.outputs.map((each) => this.replace(each)) } : cell);
			return { ...saved, cells: saved.cells.map(still) };
		};
		// Of a kernel that was shut down or changed for another, widgets are not told.
		const leaveAll = () => this.leaves.forEach((leave) => leave("the kernel is gone: this is how it was last"));
		session?.kernelChanged.connect(leaveAll);
		session?.statusChanged.connect((_, status) => status === "dead" && leaveAll());
	}

	/** An output with the picture in the place of the widget; without one, the output itself. */
	replace(output, remark = `as saved at ${pictureTime()}`) {
		const view = modelIn(output);
		let [ids, made] = [[view], []];
		try {
			if (!this.makers.has(view)) ids = [...(this.roots.get(view)?.() ?? [])].filter((id) => this.makers.has(id));
			made = ids.map((id) => this.makers.get(id)(remark)).filter(Boolean);
		} catch (error) {
			console.warn("nbflow: no picture of a view", error); // saving goes on
		}
		if (!made.length) return output;
		const text = ids[0] === view ? made[0].text : output.data["text/plain"];
		const data = { "text/html": made.map(({ html }) => html).join(""), "text/plain": text ?? "" };
		return { ...output, data, metadata: { ...output.metadata, [NOTE]: { view, ids } } };
	}
}

/** Models of a notebook's outputs, each with a function that puts another in its place. */
function* outputsOf(notebook) {
	for (const { outputs } of notebook.cells) {
		for (let place = 0; place < (outputs?.length ?? 0); place += 1) {
			yield [outputs.get(place), (other) => outputs.set(place, other)];
		}
	}
}

/**
 * Keep a picture of the model `id`, which may be one of ours or what a script of ours is for.
 * `make(remark)` gives `{html, text}` with the remark in them; null: there is none yet.
 *
 * @returns what to call when it is on a page, and when the picture is all that is left
 */
export function keepPicture(id, { widget_manager: manager }, make) {
	const notebook = manager?.context?.model;
	if (!notebook?.cells?.[Symbol.iterator]) return { found() {}, leave() {} };
	const pictures = Pictures.of(manager.context);
	pictures.makers.set(id, make);
	pictures.leaves.set(id, leave);
	const { dirty } = notebook;
	for (const [output, put] of outputsOf(notebook)) {
		const { view, ids = [] } = output.metadata?.[NOTE] ?? {};
		if (!ids.includes(id) || modelIn(output)) continue;
		const { [NOTE]: _, ...metadata } = output.metadata;
		const data = { ...output.data, [VIEW]: { version_major: 2, version_minor: 0, model_id: view } };
		put({ ...output.toJSON(), metadata, data });
	}
	notebook.dirty = dirty; // nothing that the user would have to save

	/** It may be part of another widget: outputs are of that. */
	async function found() {
		for (const [output] of outputsOf(notebook)) {
			const view = modelIn(output);
			if (!view || pictures.makers.has(view) || pictures.roots.has(view)) continue;
			const root = await manager.get_model(view).catch(() => null);
			if (root && [...widgetsIn(root)].includes(id)) pictures.roots.set(view, () => widgetsIn(root));
		}
	}

	function leave(remark, isAlone = false) {
		for (const [output, put] of outputsOf(notebook)) {
			if (!modelIn(output) || (isAlone && modelIn(output) !== id)) continue;
			const old = output.toJSON();
			const other = pictures.replace(old, remark);
			if (other !== old && other.metadata[NOTE].ids.includes(id)) put(other);
		}
		for (const known of [pictures.makers, pictures.leaves]) known.delete(id);
	}
	return { found, leave };
}
