import { keepPicture } from "./pictures.js";

const escaped = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt()};`);

/** The picture of a list, a form or a monitor, which the kernel keeps up to date. */
export default {
	initialize({ model }) {
		const make = (remark) => ({
			html: `${model.get("html")}<p>${escaped(remark)}</p>`, text: `${model.get("text")} ${remark}`,
		});
		const { leave } = keepPicture(model.get("of"), model, make);
		model.on("comm_live_update", () => leave("the kernel was restarted: this is how it was last"));
		model.on("comm:close", () => leave("", true));
	},
};
