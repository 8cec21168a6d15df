"""Wrong uses; each line marked with an error code must be refused with it."""

from nbflow import Context, Engine, workflow


async def fetch(url: str) -> bytes:
    return url.encode()


@workflow
async def main(ctx: Context, url: str) -> int:
    page: str = await ctx.run("fetch", fetch, url)  # error: arg-type
    await ctx.run("fetch", fetch, url, retrys=3)  # error: call-overload
    return len(page)


main.invoke(3)  # error: arg-type
main.invoke("a", "b")  # error: call-arg
result: str = main.invoke("a").result()  # error: assignment
Engine(durability="none")  # error: arg-type
