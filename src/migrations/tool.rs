//! The migration tools that are known.

use crate::domain::named_enum;

named_enum! {
    /// A migration tool.
    Tool("migration tool") {
        /// SQL files in one directory, run in the order of their names by no tool in particular.
        Plain = "plain",
        /// sqlx.
        Sqlx = "sqlx",
        /// refinery.
        Refinery = "refinery",
        /// diesel.
        Diesel = "diesel",
        /// goose.
        Goose = "goose",
        /// golang-migrate.
        GolangMigrate = "golang-migrate",
        /// dbmate.
        Dbmate = "dbmate",
        /// tern.
        Tern = "tern",
        /// Flyway.
        Flyway = "flyway",
        /// Liquibase.
        Liquibase = "liquibase",
        /// Atlas.
        Atlas = "atlas",
        /// Sqitch.
        Sqitch = "sqitch",
        /// Prisma.
        Prisma = "prisma",
        /// drizzle-kit.
        Drizzle = "drizzle",
        /// graphile-migrate.
        GraphileMigrate = "graphile-migrate",
        /// node-pg-migrate.
        NodePgMigrate = "node-pg-migrate",
        /// Supabase.
        Supabase = "supabase",
        /// Rails.
        Rails = "rails",
        /// Django.
        Django = "django",
        /// Alembic.
        Alembic = "alembic",
        /// Ecto.
        Ecto = "ecto",
        /// Knex.
        Knex = "knex",
        /// TypeORM.
        TypeOrm = "typeorm",
        /// SeaORM.
        SeaOrm = "sea-orm",
    }
}

impl Tool {
    /// Returns true if one table records the migrations of several packages: applications of Django,
    /// projects of Sqitch.
    pub fn has_scopes(self) -> bool {
        self.separator().is_some()
    }

    /// Returns the package of a migration, for a tool that records several.
    pub(super) fn scope(self, version: &str) -> Option<&str> {
        version.split_once(self.separator()?).map(|(scope, _)| scope)
    }

    /// Returns the character between the package and the rest of a version.
    fn separator(self) -> Option<char> {
        match self {
            Self::Django => Some('.'),
            Self::Sqitch => Some(':'),
            _ => None,
        }
    }

    /// Returns true if the migrations are programs, which only the tool itself can run.
    pub fn is_code(self) -> bool {
        use Tool::{Alembic, Django, Ecto, Knex, Rails, SeaOrm, TypeOrm};
        matches!(self, Rails | Django | Alembic | Ecto | Knex | TypeOrm | SeaOrm)
    }
}
