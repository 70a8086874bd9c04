"""What a site holds: a database such as WordPress makes, and its uploads; the same in every run.

Posts are two thirds of the bytes; settings and metadata hold what PHP serialises, with addresses in it.
One unit of rows is written; the servers multiply it, since nobody compresses anything here.
"""

import os
import random
import sqlite3

# Rows of one unit, which is about so many bytes as a dump.
POSTS, META, COMMENTS, OPTIONS, TERMS, USERS = 1000, 8000, 1500, 120, 100, 50
UNIT = 19 << 19

OLD, NEW = "www.example.org", "dev.example.org"
AT = "2026-03-01 12:00:00"

# The columns, as all three engines take them: a name and what it is.
TABLES = {
    "wp_posts": ("ID id", "post_author big", "post_date time", "post_date_gmt time", "post_content long", "post_title text",
                 "post_excerpt text", "post_status short", "comment_status short", "ping_status short",
                 "post_password name", "post_name name", "to_ping text", "pinged text", "post_modified time",
                 "post_modified_gmt time", "post_content_filtered long", "post_parent big", "guid name", "menu_order int",
                 "post_type short", "post_mime_type name", "comment_count big"),
    "wp_postmeta": ("meta_id id", "post_id big", "meta_key name", "meta_value long"),
    "wp_comments": ("comment_ID id", "comment_post_ID big", "comment_author text", "comment_author_email name",
                    "comment_author_url name", "comment_author_IP name", "comment_date time", "comment_date_gmt time",
                    "comment_content text", "comment_karma int", "comment_approved short", "comment_agent name",
                    "comment_type short", "comment_parent big", "user_id big"),
    "wp_options": ("option_id id", "option_name name", "option_value long", "autoload short"),
    "wp_terms": ("term_id id", "name name", "slug name", "term_group big"),
    "wp_term_relationships": ("relation_id id", "object_id big", "term_taxonomy_id big", "term_order int"),
    "wp_users": ("ID id", "user_login name", "user_pass name", "user_nicename name", "user_email name", "user_url name",
                 "user_registered time", "user_activation_key name", "user_status int", "display_name name"),
    "wp_usermeta": ("umeta_id id", "user_id big", "meta_key name", "meta_value long"),
}
INDEXES = {
    "wp_posts": (("post_name", "post_name"), ("type_status_date", "post_type,post_status,post_date,ID"),
                 ("post_parent", "post_parent"), ("post_author", "post_author")),
    "wp_postmeta": (("post_id", "post_id"), ("meta_key", "meta_key")),
    "wp_comments": (("comment_post_ID", "comment_post_ID"), ("approved_date", "comment_approved,comment_date_gmt"),
                    ("date_gmt", "comment_date_gmt"), ("comment_parent", "comment_parent")),
    "wp_options": (("option_name", "option_name"), ("autoload", "autoload")),
    "wp_terms": (("slug", "slug"), ("name", "name")),
    "wp_term_relationships": (("term_taxonomy_id", "term_taxonomy_id"),),
    "wp_users": (("user_login_key", "user_login"), ("user_email", "user_email")),
    "wp_usermeta": (("user_id", "user_id"), ("umeta_key", "meta_key")),
}
KINDS = {
    "mariadb": {"id": "bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY", "big": "bigint unsigned NOT NULL DEFAULT 0",
                "int": "int NOT NULL DEFAULT 0", "time": "datetime NOT NULL", "long": "longtext NOT NULL",
                "text": "text NOT NULL", "name": "varchar(255) NOT NULL DEFAULT ''", "short": "varchar(20) NOT NULL DEFAULT ''"},
    "postgresql": {"id": "bigint PRIMARY KEY", "big": "bigint NOT NULL DEFAULT 0", "int": "int NOT NULL DEFAULT 0",
                   "time": "timestamp NOT NULL", "long": "text NOT NULL", "text": "text NOT NULL",
                   "name": "varchar(255) NOT NULL DEFAULT ''", "short": "varchar(20) NOT NULL DEFAULT ''"},
    "sqlite": {"id": "INTEGER PRIMARY KEY", "big": "INTEGER NOT NULL", "int": "INTEGER NOT NULL", "time": "TEXT NOT NULL",
               "long": "TEXT NOT NULL", "text": "TEXT NOT NULL", "name": "TEXT NOT NULL", "short": "TEXT NOT NULL"},
}
# Where the writer of the stalls commits.
ACTIONS = {
    "mariadb": "CREATE TABLE wp_actions (id bigint AUTO_INCREMENT PRIMARY KEY, note varchar(200)) DEFAULT CHARSET=utf8mb4",
    "postgresql": "CREATE TABLE wp_actions (id bigserial PRIMARY KEY, note varchar(200))",
    "sqlite": "CREATE TABLE wp_actions (id INTEGER PRIMARY KEY, note TEXT)",
}


def schema(engine):
    """The statements that make the tables."""
    for table, columns in TABLES.items():
        body = ", ".join(f"{name} {KINDS[engine][kind]}" for name, kind in (column.split() for column in columns))
        keys = "".join(f", KEY {name} ({cut(table, inside)})" for name, inside in INDEXES[table]) if engine == "mariadb" else ""
        yield f"CREATE TABLE {table} ({body}{keys}){' DEFAULT CHARSET=utf8mb4' if engine == 'mariadb' else ''}"
    yield ACTIONS[engine]
    if engine != "mariadb":
        for table, indexes in INDEXES.items():
            for name, inside in indexes:
                yield f"CREATE INDEX {table}_{name} ON {table} ({inside})"


def cut(table, inside):
    """Names of 255 letters are indexed by their first 191, as WordPress has it."""
    kinds = dict(column.split() for column in TABLES[table])
    return ",".join(f"{name}(191)" if kinds[name] == "name" else name for name in inside.split(","))


def multiplied(table, times):
    """The statements that give a table its unit of rows as often as it takes, with numbers of their own."""
    columns = [column.split() for column in TABLES[table]]
    first, names = columns[0][0], [name for name, _ in columns]
    rows = {"wp_posts": POSTS, "wp_postmeta": META, "wp_comments": COMMENTS, "wp_options": OPTIONS, "wp_terms": TERMS,
            "wp_term_relationships": POSTS, "wp_users": USERS, "wp_usermeta": USERS * 4}[table]
    for number in range(1, times):
        chosen = ", ".join([f"{first} + {number * rows}"] + names[1:])
        yield f"INSERT INTO {table} ({', '.join(names)}) SELECT {chosen} FROM {table} WHERE {first} <= {rows}"


def times_for(mib):
    return max(1, round(mib * (1 << 20) / UNIT))


def unit():
    """(table, rows) of one unit."""
    chance = random.Random(5)
    words = ["".join(chance.choices("abcdefghijklmnoprstuvwz", k=chance.randint(2, 10))) for _ in range(3000)] + ["Öl", "naïve", "日本"]

    def text(length):
        return " ".join(chance.choices(words, k=length // 6))

    def address():
        return f"https://{OLD}/{chance.randint(2020, 2026)}/{chance.randint(1, 12):02}/{chance.choice(words)}/"

    def content():
        pieces = []
        for _ in range(chance.randint(1, 15)):
            pieces.append(f"<!-- wp:paragraph -->\n<p>{text(560)} <a href=\"{address()}\">{text(24)}</a></p>\n<!-- /wp:paragraph -->")
        return "\n\n".join(pieces)

    def meta(number):
        # Most of it is short, a tenth is what PHP serialised of a picture, and a tenth holds addresses.
        if number % 10 == 0:
            sizes = {name: {"file": f"{name}-{number}.jpg", "width": 300, "height": 200} for name in ("thumbnail", "medium", "large")}
            return "_wp_attachment_metadata", php({"width": 2000, "file": f"2026/03/{number}.jpg", "sizes": sizes,
                                                   "image_meta": {"caption": text(120), "keywords": text(60).split()}})
        if number % 20 == 1:
            return "_builder_data", php([{"kind": "button", "label": text(20), "link": {"url": address(), "text": text(300)}}
                                         for _ in range(3)])
        if number % 20 == 2:
            return "_source", address()
        return ("_seo_description", text(300)) if number % 5 == 3 else ("_edit_last", str(chance.randint(1, USERS)))

    yield "wp_posts", [(
        number, chance.randint(1, USERS), AT, AT, content(), text(50), text(80), "publish", "open", "open", "",
        f"{chance.choice(words)}-{number}", "", "", AT, AT, "", 0, f"https://{OLD}/?p={number}", 0, "post", "", 2)
        for number in range(1, POSTS + 1)]
    yield "wp_postmeta", [(number, chance.randint(1, POSTS), *meta(number)) for number in range(1, META + 1)]
    yield "wp_comments", [(
        number, chance.randint(1, POSTS), text(14), f"{chance.choice(words)}@example.net", address(), "192.0.2.7", AT, AT,
        text(400), 0, "1", "Mozilla/5.0 (X11; Linux x86_64)", "comment", 0, 0) for number in range(1, COMMENTS + 1)]
    yield "wp_options", [(
        number, f"widget_{chance.choice(words)}_{number}",
        php([{"title": text(30), "text": text(1500), "link": address()}, address(), number]) if number % 2 else text(600), "yes")
        for number in range(1, OPTIONS + 1)]
    yield "wp_terms", [(number, text(16), f"{chance.choice(words)}-{number}", 0) for number in range(1, TERMS + 1)]
    yield "wp_term_relationships", [(number, number, chance.randint(1, TERMS), 0) for number in range(1, POSTS + 1)]
    yield "wp_users", [(
        number, f"user{number}", "$P$B" + "x" * 30, f"user{number}", f"user{number}@example.net", f"https://{OLD}/", AT, "", 0,
        text(16)) for number in range(1, USERS + 1)]
    yield "wp_usermeta", [(
        number, 1 + number % USERS, f"wp_setting_{number % 4}", php({"editor": True, "order": text(60).split(), **({"home": address()} if number % 4 == 0 else {})}))
        for number in range(1, USERS * 4 + 1)]


def php(value):
    """As PHP's serialize() writes it."""
    if isinstance(value, bool):
        return f"b:{int(value)};"
    if isinstance(value, int):
        return f"i:{value};"
    if isinstance(value, str):
        return f's:{len(value.encode())}:"{value}";'
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return f"a:{len(value)}:{{{''.join(php(key) + php(inner) for key, inner in pairs)}}}"


def write_unit(path, engine):
    """A dump of one unit, in the words of the engine's own tool."""
    with open(path, "w") as out:
        for statement in schema(engine):
            out.write(statement + ";\n")
        for table, rows in unit():
            names = ", ".join(column.split()[0] for column in TABLES[table])
            if engine == "postgresql":
                out.write(f"COPY {table} FROM stdin;\n")
                out.writelines("\t".join(map(copied, row)) + "\n" for row in rows)
                out.write("\\.\n")
                continue
            for start in range(0, len(rows), 50):
                some = ",\n".join(f"({','.join(map(quoted, row))})" for row in rows[start:start + 50])
                out.write(f"INSERT INTO {table} ({names}) VALUES\n{some};\n")


def write_sqlite(path, times):
    """A database of so many units, with a log beside it (WAL), as a site that expects visitors has one."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    for statement in schema("sqlite"):
        connection.execute(statement)
    connection.execute("BEGIN")
    for table, rows in unit():
        connection.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(TABLES[table]))})", rows)
        for statement in multiplied(table, times):
            connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def quoted(value):
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def copied(value):
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def write_uploads(root, count, kib):
    """Uploads as WordPress sorts them, by year and month; gives their names."""
    chance, names = random.Random(7), []
    pool = chance.randbytes(8 << 20)
    for number in range(count):
        folder = f"{2015 + number // 1200 % 12}/{1 + number // 100 % 12:02}"
        name = f"{folder}/picture-{number}.jpg"
        if number % 100 == 0 or not (root / folder).is_dir():
            (root / folder).mkdir(parents=True, exist_ok=True)
        size = chance.randint(kib << 9, kib * 3 << 9)
        start = chance.randrange(len(pool) - size)
        (root / name).write_bytes(pool[start:start + size])
        os.utime(root / name, (1700000000 + number, 1700000000 + number))
        names.append(name)
    return names
