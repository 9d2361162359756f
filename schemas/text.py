"""What people read, in the three languages of a bank in Kazakhstan."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Text(BaseModel):
    """One text in Kazakh, Russian and English; none of them may be missing."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    kk: str = Field(min_length=1)
    ru: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def followed_by(self, tail: str) -> Text:
        """The same text with `: tail` behind it in each language."""
        return Text(kk=f"{self.kk}: {tail}", ru=f"{self.ru}: {tail}", en=f"{self.en}: {tail}")


class Named(BaseModel):
    """Something configured that people know by a name: a class of incidents, a procedure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    name: Text
