/**
 * The live view of one run: the browser's half of `protocol.py`, for anywidget.
 *
 * Each module of `script` is one noun, and knows those that it imports, in no circle. What
 * `store` knows makes no elements: it keeps what the kernel has told and what the user has
 * chosen, one per model. Each part of a `display` has an element, and draws into it what the
 * store holds. What is sent to the browser is all of them as one text (`script.py`).
 */

import { keepPicture } from "../pictures.js";
import { makeDisplay } from "./script/display.js";
import { pictureOf } from "./script/picture.js";
import { Store } from "./script/store.js";

/** The module is loaded once per model; this makes the model's store. */
export default () => {
	const store = new Store();
	return {
		initialize({ model }) {
			store.connect(model);
			store.picture = keepPicture(model.get("snapshot").id, model, (remark) => pictureOf(store, remark));
		},
		render({ el }) {
			const display = makeDisplay(store);
			el.append(display.el);
			store.attach(display);
			display.schedule();
			return display.remove;
		},
	};
};
